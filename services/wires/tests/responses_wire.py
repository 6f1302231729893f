"""What the tests of the Responses wire share: requests as text, events as a vendor sends them, what became of them."""

import json

import pytest
from google.protobuf import text_format

from antiphon.llm.v1 import chat_pb2, content_pb2, response_pb2
from antiphon_contract.errors import CallFailure, reason_name
from antiphon_contract.fold import Fold
from antiphon_wires.openai_chat.codec import OPENAI
from antiphon_wires.openai_responses.codec import ResponseStream, encode_request

Finish = response_pb2.FinishReason
State = content_pb2.ToolCall.InputState
Visibility = content_pb2.ReasoningPart
WARN = "options { unsupported_policy: UNSUPPORTED_POLICY_WARN }"
ERROR = "options { unsupported_policy: UNSUPPORTED_POLICY_ERROR }"
USER = 'prompt { messages { role: ROLE_USER parts { text { text: "hi" } } } }'
KEY = "openai/responses"


# -- requests


def parsed(text):
    """The same field may be given in pieces."""
    return text_format.Merge(text, chat_pb2.StreamGenerateRequest())


def encoded(text, **kwargs):
    request = parsed(text) if isinstance(text, str) else text
    return encode_request(request, OPENAI, model="gpt", **{"state_domain": "acc", **kwargs})


def body(text, **kwargs):
    return json.loads(encoded(text, **kwargs).body)


def items(text, **kwargs):
    return body(f"prompt {{ {text} }}", **kwargs)["input"]


def warnings(text, **kwargs):
    kinds = response_pb2.Warning.Kind
    return [
        (kinds.Name(warning.kind).removeprefix("KIND_"), warning.path) for warning in encoded(text, **kwargs).warnings
    ]


def refused(text, **kwargs):
    with pytest.raises(CallFailure) as raised:
        encoded(text, **kwargs)
    return reason_name(raised.value.error.reason), raised.value.error.param


# -- answers


def event(kind, **members):
    return {"type": f"response.{kind}", "sequence_number": 1, **members}


def at(kind, index, **members):
    return event(kind, output_index=index, item_id=f"i{index}", **members)


def said(text, index=0, block=0, **members):
    return at("output_text.delta", index, content_index=block, delta=text, logprobs=[], **members)


def added(index, kind, **members):
    return event("output_item.added", output_index=index, item={"id": f"i{index}", "type": kind, **members})


def done(index, kind, **members):
    return event("output_item.done", output_index=index, item={"id": f"i{index}", "type": kind, **members})


def created(**members):
    response = {"id": "resp_1", "object": "response", "created_at": 1741569952, "model": "gpt-6", "output": []}
    return event("created", response={**response, "status": "in_progress", **members})


def ended(kind="completed", **members):
    return event(kind, response={"id": "resp_1", "status": kind, "output": [], **members})


def sse(*events, named=True):
    blocks = []
    for one in events:
        if isinstance(one, bytes):
            blocks.append(b"data: " + one + b"\n\n")
        else:
            name = f"event: {one['type']}\n" if named and "type" in one else ""
            blocks.append(f"{name}data: {json.dumps(one)}\n\n".encode())
    return b"".join(blocks)


def stream(**kwargs):
    ids = iter(f"minted{number}" for number in range(9))
    return ResponseStream(OPENAI, mint=lambda: next(ids), **{"state_domain": "acc", **kwargs})


def events(data, *cuts, **kwargs):
    decoder = stream(**kwargs)
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found += decoder.feed(data[start:end])
        decoder.check()
    return found + decoder.close()


def read(*sent, **kwargs):
    return events(sse(*sent), **kwargs)


def fold(*sent, **kwargs):
    folded = Fold()
    folded.feed_events(read(*sent, **kwargs))
    return folded


def answer(*sent, **kwargs):
    return fold(*sent, **kwargs).response().candidates[0]


def parts(*sent, **kwargs):
    return list(answer(*sent, **kwargs).message.parts)


def told(found):
    """The events that went out as they came."""
    return [(one.native_event.name, json.loads(one.native_event.data)) for one in found if one.HasField("native_event")]


def warned(found):
    return [one.warning.message for one in found if one.HasField("warning")]


def failed(*sent, data=None, **kwargs):
    """The events before the failure, and its error."""
    decoder = stream(**kwargs)
    found = decoder.feed(data if data is not None else sse(*sent))
    with pytest.raises(CallFailure) as raised:
        decoder.close()
    return found, raised.value.error
