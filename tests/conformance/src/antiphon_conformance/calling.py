"""Owns how a case makes a call.

Forbids itself: stubs. Messages travel as bytes, so that the very bytes can be judged.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message as Protobuf

from antiphon.llm.v1 import chat_pb2, content_pb2
from antiphon_conformance import names, oracle, verdict
from antiphon_conformance.outcome import Outcome, Target

Metadata = Sequence[tuple[str, str]]
CALL_LIMIT_S = 30.0


class Running:
    """A call in flight, for cases that look at it or cancel it on the way."""

    def __init__(self, channel: grpc.aio.Channel, method: str, request: bytes, timeout_s: float, metadata: Metadata):
        self.outcome = Outcome(streamed=method == "StreamGenerate", began_at=time.monotonic())
        make: Any = channel.unary_stream if self.outcome.streamed else channel.unary_unary
        self.call: Any = make(names.CHAT + method)(request, timeout=timeout_s, metadata=tuple(metadata))

    async def frames(self) -> AsyncIterator[chat_pb2.StreamGenerateResponse]:
        """The frames of a stream as they come. Raises AioRpcError when it fails."""
        async for raw in self.call:
            self.outcome.raw.append(raw)
            yield chat_pb2.StreamGenerateResponse.FromString(raw)

    async def finish(self) -> Outcome:
        """Read what is left; a failure is in the outcome and not raised."""
        outcome = self.outcome
        try:
            if outcome.streamed:
                async for _ in self.frames():
                    pass
            else:
                outcome.raw.append(await self.call)
        except grpc.aio.AioRpcError:
            pass
        except asyncio.CancelledError:
            if not self.call.cancelled():
                raise
        outcome.ended_at = time.monotonic()
        outcome.code, outcome.message = await self.call.code(), await self.call.details() or ""
        outcome.headers = list(await self.call.initial_metadata() or ())
        outcome.trailers = list(await self.call.trailing_metadata() or ())
        if outcome.streamed:
            outcome.answer = oracle.of_stream(outcome.frames)
        elif outcome.raw:
            outcome.answer = oracle.of_unary(chat_pb2.GenerateResponse.FromString(outcome.raw[0]))
        return outcome

    def cancel(self) -> float:
        """When it was cancelled, on the monotonic clock."""
        self.call.cancel()
        return time.monotonic()


class Ask:
    """One way to make a call, unary or streaming; every outcome is judged by the rules that hold for all calls."""

    def __init__(self, channel: grpc.aio.Channel, target: Target, *, streamed: bool) -> None:
        self.target = target
        self.streamed = streamed
        self._channel = channel

    def request(self, native_id: str, *texts: str, **params: object) -> chat_pb2.StreamGenerateRequest:
        """One user message per text; `params` are members of GenerateParams."""
        return request(self.target.name(native_id), *texts, **params)

    def begin(self, ask: Protobuf | bytes, *, timeout_s: float = CALL_LIMIT_S, metadata: Metadata = ()) -> Running:
        body = ask if isinstance(ask, bytes) else ask.SerializeToString()
        method = "StreamGenerate" if self.streamed else "Generate"
        return Running(self._channel, method, body, timeout_s, metadata)

    async def send(self, ask: Protobuf | bytes, *, timeout_s: float = CALL_LIMIT_S, metadata: Metadata = ()) -> Outcome:
        """Make the call and judge what came back. A failure is an outcome, not an exception."""
        outcome = await self.begin(ask, timeout_s=timeout_s, metadata=metadata).finish()
        verdict.judge(outcome, self.target)
        if not outcome.ok:
            self.target.move_on()
        return outcome

    async def __call__(self, native_id: str, *texts: str, **params: object) -> Outcome:
        return await self.send(self.request(native_id, *texts, **params))


def request(model: str, *texts: str, **params: object) -> chat_pb2.StreamGenerateRequest:
    """A conversation of one user message per text; `params` are members of GenerateParams."""
    ask = chat_pb2.StreamGenerateRequest(model=model)
    for text in texts or ("hi",):
        say(ask, content_pb2.ROLE_USER, text)
    for name, value in params.items():
        if isinstance(value, list):
            getattr(ask.params, name).extend(value)
        else:
            setattr(ask.params, name, value)
    return ask


def say(ask: chat_pb2.StreamGenerateRequest, role: content_pb2.Role, text: str) -> None:
    ask.prompt.messages.add(role=role).parts.add().text.text = text


def limits(ask: chat_pb2.StreamGenerateRequest, **limits_s: float) -> chat_pb2.StreamGenerateRequest:
    """`ask` with members of Timeouts, in seconds."""
    for name, seconds in limits_s.items():
        getattr(ask.options.timeouts, name).FromNanoseconds(int(seconds * 1e9))
    return ask
