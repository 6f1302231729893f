"""Streams as Cohere sends them, spelled after https://docs.cohere.com/v2/docs/streaming (2026-11)."""

import json

USAGE = {
    "billed_units": {"input_tokens": 39.0, "output_tokens": 27.0},
    "tokens": {"input_tokens": 1683.0, "output_tokens": 62.0},
    "cached_tokens": 16.0,
}


def event(kind, message=None, *, name=True, **members):
    delta = {} if message is None else {"delta": {"message": message}}
    data = json.dumps({"type": kind, **members, **delta}, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {kind}\n" if name else "").encode() + f"data: {data}\n\n".encode()


def start():
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    return event("message-start", empty, id="68475c80")


def opened(index=0, kind="text"):
    return event("content-start", {"content": {"type": kind, kind: ""}}, index=index)


def said(text, index=0, kind="text", **more):
    return event("content-delta", {"content": {kind: text}}, index=index, **more)


def closed(index=0):
    return event("content-end", index=index)


def plan(text):
    return event("tool-plan-delta", {"tool_plan": text})


def call(index, call_id, name, arguments=""):
    function = {"name": name, "arguments": arguments}
    return event(
        "tool-call-start", {"tool_calls": {"id": call_id, "type": "function", "function": function}}, index=index
    )


def arguments(index, piece):
    return event("tool-call-delta", {"tool_calls": {"function": {"arguments": piece}}}, index=index)


def called(index):
    return event("tool-call-end", index=index)


def cited(index, **citation):
    return event("citation-start", {"citations": citation}, index=index) + event("citation-end", index=index)


def end(finish="COMPLETE", usage=USAGE, **more):
    told = {} if usage is None else {"usage": usage}
    return event("message-end", delta={"finish_reason": finish, **told, **more})


DOCUMENT = {"type": "document", "id": "doc:0", "document": {"id": "doc:0", "text": "x", "title": "Benefits"}}

RAG = (
    start() + opened() + said("The key ") + said("bénéfices") + said(" are 😀") + said(".") + closed()
    + cited(0, start=4, end=17, text="key bénéfices", sources=[DOCUMENT], type="TEXT_CONTENT") + end()
)  # fmt: skip
THINKING = (
    start() + opened(0, "thinking") + said("Hm", 0, "thinking") + said(", so", 0, "thinking") + closed(0)
    + opened(1) + said("It ", 1) + said("is ", 1) + said("four.", 1) + closed(1) + end()
)  # fmt: skip
TOOLS = (
    start() + plan("I will ") + plan("look.") + call(0, "weather_e8p4", "weather") + arguments(0, '{"')
    + arguments(0, 'city": "Zü') + arguments(0, 'rich"}') + called(0) + call(1, "now_y46a", "now") + called(1)
    + end("TOOL_CALL")
)  # fmt: skip
RECORDINGS = {"rag": RAG, "thinking": THINKING, "tools": TOOLS}
