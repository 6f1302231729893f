"""Owns what the vendor can be asked to do: a sentence each, put together once from the words that each wire spells.

What must come of a scene is here too, as constants, so that the wire and the cases cannot disagree about it.
"""

import enum
from collections.abc import Callable, Mapping

from antiphon_conformance.vendor.script import Cut, Head, Hold, Pause, Repeat, Request, Script, Step
from antiphon_conformance.wires import SSE, Counts, Tool, Wire, encoded, streamed

PLAIN_TOKENS = 12
PACED_TOKENS = 40
PACE_S = 0.05
THINKING_S = 1.0
BEFORE_FAULT = 5
STEPS_S = 0.05


def numbered(count: int, first: int = 0) -> list[str]:
    """Content whose loss, repetition and reordering all show: "t0 t1 t2 …"."""
    return [f"t{number} " for number in range(first, first + count)]


def text(count: int) -> str:
    return "".join(numbered(count))


UNICODE = "naïve Ünïcode ǅ 漢字かな 한국어 שלום مرحبا é (e + U+0301: e\u0301) 👩‍👩‍👧‍👦 🇺🇳 NUL[\0] ZWJ[\u200d] end"
AROUND_EMOJI = ("before ", " after")
USAGE = Counts(7, 5)
DETAILED = Counts(100, 50, cache_read_tokens=64, reasoning_tokens=20)
ONE_TOOL = Tool(
    "call_1", "weather", ['{"city": ', '"Zü', 'rich", "n": 9007199254740993, ', '"n": 1e400,\n\t "z":1,"a":2}']
)
PARALLEL = tuple(Tool(f"call_{i}", f"tool_{i}", [f'{{"call": {i}', f', "half": {i}', "}"]) for i in range(8))
EMPTY_TOOL = Tool("call_1", "now", [])
BRACES_TOOL = Tool("call_1", "now", ["{}"])
HUGE_TOOL = Tool("call_1", "save", ['{"data": "', *(f"{number:06d}" + "x" * 99 for number in range(10_000)), '"}'])
INVALID_TOOL = Tool("call_1", "save", ['{"a": tru', "}"])
TRUNCATED_TOOL = Tool("call_1", "save", ['{"a": [1, 2, "unfin'])
FLOOD_BYTES = 64 * 1024 * 1024
_FLOOD_TOKEN = "f" * 16 * 1024


class Scene(enum.Enum):
    """What the vendor does next. Every provider must survive every scene."""

    PLAIN = "streams numbered tokens, as many as the request allows but at most twelve, then stop and usage"
    ECHO = "streams the text of the last message back"
    PACED = "streams forty numbered tokens, one every 50 ms"
    THINKS = "sends 200, thinks for a second, then streams the plain tokens"
    UNICODE = "streams text in many scripts, one code point an event"
    DRIP = "streams the unicode text, one byte a write"
    SPLIT_SURROGATES = "splits an emoji into two escaped halves in two events"
    LONE_SURROGATE = "sends half an emoji and never the other half"

    ONE_TOOL = "calls one tool, its arguments in fragments that are not JSON by themselves"
    TEXT_THEN_TOOL = "says something, then calls a tool"
    PARALLEL_TOOLS = "calls eight tools whose fragments interleave"
    EMPTY_TOOL_INPUT = "calls a tool without a byte of arguments"
    BRACES_TOOL_INPUT = "calls a tool with the arguments {}"
    HUGE_TOOL_INPUT = "calls a tool with 1 MiB of arguments in ten thousand fragments"
    INVALID_TOOL_INPUT = "calls a tool with arguments that are no JSON"
    TRUNCATED_TOOL_INPUT = "is cut by the token limit in the middle of a tool's arguments"

    NO_USAGE = "streams tokens and stop, but never tells usage"
    DETAILED_USAGE = "tells cached and reasoning tokens"

    HELD_BEFORE_HEAD = "takes the request and sends nothing, not even a status line, until told"
    HELD_BEFORE_CONTENT = "sends 200 and an opening event without content, then waits until told"
    HELD_MID_STREAM = "streams five tokens, waits until told, then streams the rest"
    SILENT_FIRST = "sends 200 and then nothing"
    COMMENTS_FIRST = "sends 200 and then nothing but `: keep-alive` comments"
    BLANKS_FIRST = "sends 200 and then nothing but empty lines"
    EMPTY_DELTAS_FIRST = "sends 200 and then nothing but deltas without content"
    SILENT_LATE = "streams five tokens and then nothing"
    COMMENTS_LATE = "streams five tokens and then nothing but `: keep-alive` comments"
    BLANKS_LATE = "streams five tokens and then nothing but empty lines"
    EMPTY_DELTAS_LATE = "streams five tokens and then nothing but deltas without content"
    SLOW_BUT_ALIVE = "streams a token every 200 ms, with keep-alive comments between"
    FLOOD = "streams 64 MiB of text as fast as it is read"

    FIN_BEFORE_HEAD = "takes the request and closes the connection"
    RST_BEFORE_HEAD = "takes the request and resets the connection"
    FIN_AFTER_HEAD = "sends 200 and closes the connection"
    RST_AFTER_HEAD = "sends 200 and resets the connection"
    FIN_MID_EVENT = "streams five tokens and half an event, then closes"
    RST_MID_EVENT = "streams five tokens and half an event, then resets"
    FIN_BETWEEN_EVENTS = "streams five tokens, then closes between two events"
    RST_BETWEEN_EVENTS = "streams five tokens, then resets between two events"
    ENDS_WITHOUT_FINISH = "streams five tokens and ends the body properly, without finish and terminator"
    DONE_WITHOUT_FINISH = "streams five tokens and the terminator, without a finish"
    DONE_WITHOUT_CONTENT = "sends the terminator and nothing else"
    CUT_BEFORE_TERMINATOR = "streams everything but the terminator, then closes"
    RST_BEFORE_TERMINATOR = "streams everything but the terminator, then resets"

    ERROR_EVENT_FIRST = "sends 200 and then an overload as an event"
    ERROR_EVENT_LATE = "streams five tokens and then an overload as an event"
    GARBAGE_FIRST = "puts an event that is no JSON before a good answer"
    GARBAGE_LATE = "puts an event that is no JSON into a good answer, after five tokens"
    WRONG_SHAPE_FIRST = "puts an event that is JSON, but a list, before a good answer"
    WRONG_SHAPE_LATE = "puts an event that is JSON, but a list, into a good answer, after five tokens"
    HTML_WITH_200 = "answers 200 with a web page"
    EMPTY_200 = "answers 200 with an empty body"
    BROKEN_GZIP = "answers 200 with a body that claims to be gzip"
    REDIRECT = "redirects to another host"

    @property
    def slug(self) -> str:
        return self.name.lower().replace("_", "-")


def by_name(model: str) -> Scene | None:
    return next((scene for scene in Scene if scene.slug == model), None)


Stage = Callable[[Wire, Request], Script]


def _plain(wire: Wire, request: Request) -> Script:
    limit = wire.output_limit(request)
    count = PLAIN_TOKENS if limit is None else min(limit, PLAIN_TOKENS)
    finish = wire.truncated if count < PLAIN_TOKENS else None
    return streamed([*wire.begin(), *wire.tokens(numbered(count)), *wire.end(finish, Counts(7, count))])


def _echo(wire: Wire, request: Request) -> Script:
    said = wire.conversation(request)[-1][1]
    return streamed([*wire.begin(), *wire.tokens([said]), *wire.end(None, USAGE)])


def _paced(wire: Wire, _: Request) -> Script:
    tokens = encoded(wire.tokens(numbered(PACED_TOKENS)))
    paced = [step for token in tokens for step in (token, Pause(PACE_S))]
    return (SSE, *encoded(wire.begin()), *paced, *encoded(wire.end(None, Counts(7, PACED_TOKENS))))


def _says(tokens: list[str]) -> Stage:
    return lambda wire, _: streamed([*wire.begin(), *wire.tokens(tokens), *wire.end(None, USAGE)])


def _drip(wire: Wire, _: Request) -> Script:
    body = b"".join(encoded([*wire.begin(), *wire.tokens([UNICODE]), *wire.end(None, USAGE)]))
    return (SSE, *(bytes([byte]) for byte in body))


def _calls(*tools: Tool, said: str = "", finish: str = "", interleaved: bool = False) -> Stage:
    def stage(wire: Wire, _: Request) -> Script:
        before = wire.tokens([said]) if said else []
        called = wire.tools(tools, interleaved=interleaved)
        word = wire.truncated if finish == "truncated" else wire.called_tools
        return streamed([*wire.begin(), *before, *called, *wire.end(word, USAGE)])

    return stage


def _after_head(*steps: Step) -> Stage:
    return lambda wire, _: (SSE, *steps)


def _five(wire: Wire) -> tuple[bytes, ...]:
    return encoded([*wire.begin(), *wire.tokens(numbered(BEFORE_FAULT))])


def _five_then(*steps: Step) -> Stage:
    # The pause lets the tokens reach the reader before a reset throws away what is still on its way.
    return lambda wire, _: (SSE, *_five(wire), Pause(STEPS_S), *steps)


def _rest(wire: Wire) -> tuple[bytes, ...]:
    rest = numbered(PLAIN_TOKENS - BEFORE_FAULT, first=BEFORE_FAULT)
    return encoded([*wire.tokens(rest), *wire.end(None, Counts(7, PLAIN_TOKENS))])


def _half_event(how: Cut) -> Stage:
    def stage(wire: Wire, _: Request) -> Script:
        half = encoded(wire.tokens(["lost"]))[0][:-9]
        return (SSE, *_five(wire), Pause(STEPS_S), half, Pause(STEPS_S), how)

    return stage


def _all_but_terminator(how: Cut) -> Stage:
    def stage(wire: Wire, _: Request) -> Script:
        said = [*wire.begin(), *wire.tokens(numbered(PLAIN_TOKENS)), *wire.finish(None, Counts(7, PLAIN_TOKENS))]
        return (SSE, *encoded(said), Pause(STEPS_S), how)

    return stage


def _slow_but_alive(wire: Wire, _: Request) -> Script:
    steps = [step for token in encoded(wire.tokens(numbered(4))) for step in (b": keep-alive\n\n", Pause(0.2), token)]
    return (SSE, *encoded(wire.begin()), *steps, *encoded(wire.end(None, Counts(7, 4))))


def _flood(wire: Wire, _: Request) -> Script:
    token = encoded(wire.tokens([_FLOOD_TOKEN]))[0]
    return (SSE, *encoded(wire.begin()), Repeat(token, 0.0, FLOOD_BYTES // len(_FLOOD_TOKEN)), *encoded(wire.end()))


def _silence(data: bytes) -> Repeat:
    return Repeat(data, 0.05)


_EMPTY = "empty"


def _stalls(data: bytes | str | None, *, late: bool) -> Stage:
    def stage(wire: Wire, _: Request) -> Script:
        filler = b"".join(encoded(wire.empty_delta())) if data == _EMPTY else data
        wait = Hold() if filler is None else _silence(filler)  # type: ignore[arg-type]
        return (SSE, *(_five(wire) if late else encoded(wire.begin())), wait)

    return stage


_PAGE = (Head(200, {"content-type": "text/html"}), b"<!doctype html><title>Please log in</title>")
_GARBAGE = b'data: {"choices": [{]\n\n'
_LIST = b"data: [1, 2, 3]\n\n"

SCENES: Mapping[Scene, Stage] = {
    Scene.PLAIN: _plain,
    Scene.ECHO: _echo,
    Scene.PACED: _paced,
    Scene.THINKS: lambda w, _: (SSE, *encoded(w.begin()), Pause(THINKING_S), *_five(w), *_rest(w)),
    Scene.UNICODE: _says(list(UNICODE)),
    Scene.DRIP: _drip,
    Scene.SPLIT_SURROGATES: lambda w, _: streamed(
        [*w.begin(), *w.split_surrogates(*AROUND_EMOJI), *w.end(None, USAGE)]
    ),
    Scene.LONE_SURROGATE: lambda w, _: streamed([*w.begin(), *w.lone_surrogate(*AROUND_EMOJI), *w.end(None, USAGE)]),
    Scene.ONE_TOOL: _calls(ONE_TOOL),
    Scene.TEXT_THEN_TOOL: _calls(ONE_TOOL, said="Let me see."),
    Scene.PARALLEL_TOOLS: _calls(*PARALLEL, interleaved=True),
    Scene.EMPTY_TOOL_INPUT: _calls(EMPTY_TOOL),
    Scene.BRACES_TOOL_INPUT: _calls(BRACES_TOOL),
    Scene.HUGE_TOOL_INPUT: _calls(HUGE_TOOL),
    Scene.INVALID_TOOL_INPUT: _calls(INVALID_TOOL),
    Scene.TRUNCATED_TOOL_INPUT: _calls(TRUNCATED_TOOL, finish="truncated"),
    Scene.NO_USAGE: lambda w, _: streamed([*w.begin(), *w.tokens(numbered(PLAIN_TOKENS)), *w.end()]),
    Scene.DETAILED_USAGE: lambda w, _: streamed(
        [*w.begin(), *w.tokens(numbered(PLAIN_TOKENS)), *w.end(None, DETAILED)]
    ),
    Scene.HELD_BEFORE_HEAD: lambda w, r: (Hold(), *_plain(w, r)),
    Scene.HELD_BEFORE_CONTENT: lambda w, _: (SSE, *encoded(w.begin()), Hold(), *_five(w), *_rest(w)),
    Scene.HELD_MID_STREAM: lambda w, _: (SSE, *_five(w), Hold(), *_rest(w)),
    Scene.SILENT_FIRST: _stalls(None, late=False),
    Scene.COMMENTS_FIRST: _stalls(b": keep-alive\n\n", late=False),
    Scene.BLANKS_FIRST: _stalls(b"\n", late=False),
    Scene.EMPTY_DELTAS_FIRST: _stalls(_EMPTY, late=False),
    Scene.SILENT_LATE: _stalls(None, late=True),
    Scene.COMMENTS_LATE: _stalls(b": keep-alive\n\n", late=True),
    Scene.BLANKS_LATE: _stalls(b"\n", late=True),
    Scene.EMPTY_DELTAS_LATE: _stalls(_EMPTY, late=True),
    Scene.SLOW_BUT_ALIVE: _slow_but_alive,
    Scene.FLOOD: _flood,
    Scene.FIN_BEFORE_HEAD: lambda *_: (Cut.FIN,),
    Scene.RST_BEFORE_HEAD: lambda *_: (Cut.RST,),
    Scene.FIN_AFTER_HEAD: _after_head(Pause(STEPS_S), Cut.FIN),
    Scene.RST_AFTER_HEAD: _after_head(Pause(STEPS_S), Cut.RST),
    Scene.FIN_MID_EVENT: _half_event(Cut.FIN),
    Scene.RST_MID_EVENT: _half_event(Cut.RST),
    Scene.FIN_BETWEEN_EVENTS: _five_then(Cut.FIN),
    Scene.RST_BETWEEN_EVENTS: _five_then(Cut.RST),
    Scene.ENDS_WITHOUT_FINISH: _five_then(),
    Scene.DONE_WITHOUT_FINISH: lambda w, _: (SSE, *_five(w), *encoded(w.terminator())),
    Scene.DONE_WITHOUT_CONTENT: lambda w, _: (SSE, *encoded(w.terminator())),
    Scene.CUT_BEFORE_TERMINATOR: _all_but_terminator(Cut.FIN),
    Scene.RST_BEFORE_TERMINATOR: _all_but_terminator(Cut.RST),
    Scene.ERROR_EVENT_FIRST: lambda w, _: streamed([*w.begin(), *w.error_event()]),
    Scene.ERROR_EVENT_LATE: lambda w, _: (SSE, *_five(w), *encoded(w.error_event())),
    Scene.GARBAGE_FIRST: lambda w, _: (SSE, _GARBAGE, *_five(w), *_rest(w)),
    Scene.GARBAGE_LATE: lambda w, _: (SSE, *_five(w), _GARBAGE, *_rest(w)),
    Scene.WRONG_SHAPE_FIRST: lambda w, _: (SSE, _LIST, *_five(w), *_rest(w)),
    Scene.WRONG_SHAPE_LATE: lambda w, _: (SSE, *_five(w), _LIST, *_rest(w)),
    Scene.HTML_WITH_200: lambda *_: _PAGE,
    Scene.EMPTY_200: lambda *_: (Head(200, {"content-type": "text/event-stream", "content-length": "0"}),),
    Scene.BROKEN_GZIP: lambda *_: (Head(200, {**SSE.headers, "content-encoding": "gzip"}), b"this is no gzip"),
    Scene.REDIRECT: lambda *_: (Head(307, {"location": "/elsewhere", "content-length": "0"}),),
}
