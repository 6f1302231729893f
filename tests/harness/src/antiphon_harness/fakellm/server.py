"""Owns the upstream's connections: HTTP/1.1 by hand, because it has to end connections in ways no server offers."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, cast

from antiphon_harness.fakellm import answers
from antiphon_harness.fakellm.script import Rule, Script, Stage
from antiphon_harness.fakellm.witness import Seen, WitnessLog

CONTROL: Final = "/_control/"
_LINGER_RESET: Final = struct.pack("ii", 1, 0)


class Upstream:
    """What all connections share."""

    def __init__(self, log: WitnessLog) -> None:
        self.stage = Stage()
        self.log = log
        self.playing: set[asyncio.Task[None]] = set()

    def connection(self) -> "_Connection":
        """For `create_server`."""
        return _Connection(self)

    def control(self, what: str, body: Any) -> None:
        """An order of the harness."""
        if what == "rules":
            self.stage.set_rules([Rule.from_json(row) for row in body])
        elif what == "keys":
            self.stage.set_keys(body)
        elif what == "places":
            self.stage.places.limit(body)
        else:
            raise ValueError(what)


class _Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = b""
        self._play: _Play | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._play is None:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()
        play, self._play = self._play, None
        if play is not None:
            play.over("caller")
            self._upstream.stage.places.leave(play)

    def _next(self) -> None:
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._answer(method, path, headers, rest[:length])

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        upstream = self._upstream
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if path.startswith(CONTROL):
            upstream.control(path.removeprefix(CONTROL), json.loads(body))
            self.transport.write(answers.whole(204, b"", {}))
        elif method == "GET":
            taken = upstream.stage.takes(key)
            upstream.log.listed(key, 200 if taken else 401)
            self.transport.write(
                answers.whole(200 if taken else 401, answers.models() if taken else answers.error(401, {}), {})
            )
        else:
            request = json.loads(body)
            model = str(request.get("model", ""))
            seen = upstream.log.accepted(key, model, _prompt(request))
            script = upstream.stage.script(key, model)
            self._play = play = _Play(self.transport, upstream.log, script, seen, model)
            if play.at_once():
                self._played()
            else:
                upstream.stage.places.take(play, lambda: self._begin(play))

    def _begin(self, play: "_Play") -> None:
        self._task = asyncio.create_task(self._perform(play))
        self._upstream.playing.add(self._task)
        self._task.add_done_callback(self._upstream.playing.discard)

    async def _perform(self, play: "_Play") -> None:
        await play.run()
        self._task = None
        self._upstream.stage.places.leave(play)
        self._played()

    def _played(self) -> None:
        play, self._play = self._play, None
        if play is not None:
            play.over("upstream")
        if self._buffer and not self.transport.is_closing():
            self._next()


def _prompt(request: dict[str, Any]) -> str:
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class _Play:
    """One script on its way to one caller."""

    def __init__(self, transport: asyncio.Transport, log: WitnessLog, script: Script, seen: Seen, model: str) -> None:
        self._transport = transport
        self._log = log
        self._script = script
        self._seen = seen
        self._model = model
        self._chunked = script.end != "close"
        self._ended = False

    def over(self, by: str) -> None:
        """Write the last word, once."""
        if not self._ended:
            self._ended = True
            self._log.ended(self._seen, self._script.status, by)

    def at_once(self) -> bool:
        """Whether the script takes no time at all; then it has been played."""
        script = self._script
        if script.head_delay_s or (
            script.status == 200 and (script.ttft_s or script.gap_s or script.stall_after is not None)
        ):
            return False
        if script.status != 200:
            self._refuse()
            return True
        self._begin()
        self._rest(0)
        return True

    async def run(self) -> None:
        """Play the script."""
        script = self._script
        await asyncio.sleep(script.head_delay_s)
        if script.status != 200:
            self._refuse()
            return
        self._begin()
        await self._wait(script.ttft_s)
        last = script.tokens if script.end == "done" else script.cut_after
        for number in range(last):
            if number == script.stall_after:
                await self._wait(None)
            if not script.gap_s and script.stall_after is None:
                self._rest(number)
                return
            self._tokens(number, number + 1)
            await asyncio.sleep(script.gap_s)
        if script.stall_after is not None and script.stall_after >= last:
            await self._wait(None)
        self._end()

    async def _wait(self, limit_s: float | None) -> None:
        """Let time pass, for ever if None, with the script's noise."""
        script = self._script
        if not script.noise:
            await asyncio.sleep(1e9 if limit_s is None else limit_s)
            return
        noise: Callable[[], bytes] = {
            "comment": lambda: b": keep-alive\n\n",
            "empty": lambda: b"\n",
            "role": lambda: answers.delta(self._model, {"role": "assistant", "content": ""}),
        }[script.noise]
        left_s = 1e9 if limit_s is None else limit_s
        while left_s > 0:
            await asyncio.sleep(min(script.noise_every_s, left_s))
            left_s -= script.noise_every_s
            self._write(noise())

    def _refuse(self) -> None:
        script = self._script
        self._transport.write(answers.whole(script.status, answers.error(script.status, script.error), script.headers))

    def _begin(self) -> None:
        self._transport.write(answers.stream_head(self._seen.number, self._script.headers, chunked=self._chunked))
        if self._script.role_first:
            self._write(answers.delta(self._model, {"role": "assistant", "content": ""}))

    def _rest(self, first: int) -> None:
        last = self._script.tokens if self._script.end == "done" else self._script.cut_after
        if last > first:
            self._tokens(first, last)
        self._end()

    def _tokens(self, first: int, last: int) -> None:
        self._write(b"".join(answers.delta(self._model, {"content": answers.token(n)}) for n in range(first, last)))
        self._seen.produced(last - first)

    def _end(self) -> None:
        script = self._script
        if script.end == "done":
            self._write(answers.ending(self._model, script.tokens))
        elif script.end == "error":
            self._write(answers.event(answers.error(500, script.error)))
        elif script.end == "unfinished":
            self._write(answers.DONE)
        elif script.end == "malformed":
            self._write(answers.MALFORMED)
        if script.end == "rst":
            self._reset()
        elif script.end in ("fin", "close"):
            self._transport.close()
        else:
            self._transport.write(answers.LAST_CHUNK)

    def _reset(self) -> None:
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self._transport.abort()

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answers.chunk(data) if self._chunked else data)
