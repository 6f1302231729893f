"""How the vendor spells its events, for the tests of this provider."""

import json

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": []}
NOTHING = {"stop_reason": None, "stop_sequence": None}
USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}


CACHED = {**USAGE, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100}


def event(name, **members):
    data = json.dumps({"type": name, **members}, separators=(",", ":"))
    return f"event: {name}\ndata: {data}\n\n".encode()


def begin(**members):
    return event("message_start", message={**MESSAGE, **NOTHING, "usage": USAGE, **members})


def start(index, **block):
    return event("content_block_start", index=index, content_block=block)


def delta(index, kind, **members):
    return event("content_block_delta", index=index, delta={"type": f"{kind}_delta", **members})


def stop(index):
    return event("content_block_stop", index=index)


def end(reason="end_turn", usage=None, **members):
    last = event(
        "message_delta",
        delta={"stop_reason": reason, "stop_sequence": None, **members},
        usage=usage or {"output_tokens": 9},
    )
    return last + event("message_stop")


def said(index, *pieces, **block):
    """A whole text block."""
    texts = b"".join(delta(index, "text", text=piece) for piece in pieces)
    return start(index, type="text", text="", **block) + texts + stop(index)


def called(index, *pieces, **block):
    """A whole call of a tool."""
    inputs = b"".join(delta(index, "input_json", partial_json=piece) for piece in pieces)
    call = {"type": "tool_use", "id": f"toolu_{index}", "name": "weather", "input": {}, **block}
    return start(index, **call) + inputs + stop(index)


CITATION = {
    "type": "char_location",
    "cited_text": "Grün",
    "document_index": 1,
    "document_title": "Farben",
    "start_char_index": 0,
    "end_char_index": 4,
    "file_id": None,
}
SEARCH = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [{"type": "web_search_result", "title": "T", "url": "https://a.example", "encrypted_content": "Eq=="}],
}

# Interleaved thinking, as https://platform.claude.com/docs/en/build-with-claude/streaming shows it (2026-11).
RECORDED = b"".join(
    (
        begin(usage=CACHED),
        start(0, type="thinking", thinking="", signature=""),
        event("ping"),
        delta(0, "thinking", thinking="Let me "),
        delta(0, "thinking", thinking="see. ü😀"),
        delta(0, "signature", signature="EqQBCgIYAhIM1gbcDa9GJwZA2b3h"),
        stop(0),
        start(1, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(1, "input_json", partial_json=""),
        delta(1, "input_json", partial_json='{"query": "gr'),
        delta(1, "input_json", partial_json='ün"}'),
        stop(1),
        start(2, **SEARCH),
        stop(2),
        start(3, type="redacted_thinking", data="EmwKAhgBEgy3va3pzix"),
        stop(3),
        start(4, type="text", text="", citations=[]),
        delta(4, "citations", citation=CITATION),
        delta(4, "text", text="It is "),
        delta(4, "text", text='"green"'),
        delta(4, "text", text=".\n\n漢"),
        stop(4),
        called(5, "", '{"city": "Zü', 'rich", "n": 9007199254740993}'),
        called(6),
        end("tool_use", usage={**CACHED, "output_tokens": 88}),
    )
)
