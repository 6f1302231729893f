"""What the tests of the chat stream share: chunks as a vendor sends them, and what became of them."""

import json

import pytest

from antiphon.llm.v1 import content_pb2, response_pb2
from antiphon_contract.errors import CallFailure
from antiphon_contract.fold import Fold
from antiphon_wires.openai_chat.codec import OPENAI, ChatStream

Finish = response_pb2.FinishReason
State = content_pb2.ToolCall.InputState
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1741569952, "model": "gpt-6"}


def chunk(delta=None, finish=None, index=0, choice=None, **members):
    choices = [{"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish, **(choice or {})}]
    return {**HEAD, "choices": choices, "usage": None, **members}


def sse(*chunks, done=True):
    lines = [chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode() for chunk in chunks]
    return b"".join(b"data: " + line + b"\n\n" for line in [*lines, *([b"[DONE]"] if done else [])])


def stream(**kwargs):
    ids = iter(f"minted{number}" for number in range(9))
    return ChatStream(OPENAI, mint=lambda: next(ids), **kwargs)


def events(data, *cuts, **kwargs):
    decoder = stream(**kwargs)
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found += decoder.feed(data[start:end])
        decoder.check()
    return found + decoder.close()


def fold(*chunks, done=True, **kwargs):
    folded = Fold()
    folded.feed_events(events(sse(*chunks, done=done), **kwargs))
    return folded


def answer(*chunks, **kwargs):
    return fold(*chunks, **kwargs).response().candidates[0]


def parts(*chunks, **kwargs):
    return list(answer(*chunks, **kwargs).message.parts)


def kinds(found):
    return [event.WhichOneof("kind") for event in found]


def warned(found):
    return [event.warning.message for event in found if event.HasField("warning")]


def failed(*chunks, done=True, data=None, **kwargs):
    """The events before the failure, and its error."""
    decoder = stream(**kwargs)
    found = decoder.feed(data if data is not None else sse(*chunks, done=done))
    with pytest.raises(CallFailure) as raised:
        decoder.close()
    return found, raised.value.error


STOP = chunk({}, "stop")
ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
