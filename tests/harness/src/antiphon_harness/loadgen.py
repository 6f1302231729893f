"""Owns open-loop load over the wire: calls leave on schedule whether or not earlier ones have come back.

Latency counts from the scheduled time, so a stall of the generator cannot hide one of the service. Nothing is
retried here: one shot is one RPC, and everything that came back is kept.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration

from antiphon.llm.v1 import chat_pb2, content_pb2, error_pb2, response_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import Trailers, end_from_trailers, from_trailers, reason_name

UNARY: Final = "/antiphon.llm.v1.ChatService/Generate"
STREAM: Final = "/antiphon.llm.v1.ChatService/StreamGenerate"
CHANNELS: Final = 4
OPTIONS: Final = (
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)
"""No retries, no shared connections: what a call meets is seen."""

PATIENT: Final = (
    *OPTIONS[1:],
    # The default grows to two minutes: long after a router is back its clients would not know.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    (
        "grpc.service_config",
        json.dumps(
            {
                "loadBalancingConfig": [{"round_robin": {}}],
                "healthCheckConfig": {"serviceName": "antiphon.llm.v1.ChatService"},
                "methodConfig": [
                    {
                        "name": [{}],
                        "retryPolicy": {
                            "maxAttempts": 4,
                            "initialBackoff": "0.1s",
                            "maxBackoff": "1s",
                            "backoffMultiplier": 2,
                            "retryableStatusCodes": ["UNAVAILABLE"],
                        },
                    }
                ],
            }
        ),
    ),
)
"""What clients are told to use: several routers, their health watched, and connection failures retried."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked. Times in seconds; None: the service's own limit."""

    model: str = "openai/m"
    streamed: bool = False
    timeout_s: float = 60.0
    cancel_after_s: float | None = None
    first_event_s: float | None = None
    between_events_s: float | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, kw_only=True)
class Shot:
    """One call and all that came back. Times are absolute, on the monotonic clock."""

    prompt: str
    streamed: bool
    due: float
    sent: float = 0.0
    first: float | None = None
    """First content."""
    ended: float = 0.0
    code: str = ""
    reason: str = ""
    message: str = ""
    text: str = ""
    ends: int = 0
    """How many `end` events or records came within the answer."""
    outcome: int = 0
    usage_source: int = 0
    response_id: str = ""
    backend: str = ""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """Failed ones that were recovered from or led to the end."""
    retry_delay_s: float | None = None
    pushback: str = ""
    grammar: str = ""
    """What was wrong with the order of events."""

    @property
    def ok(self) -> bool:
        return self.code == "OK"

    @property
    def took_s(self) -> float:
        """From when it was due."""
        return self.ended - self.due

    @property
    def first_s(self) -> float:
        """To the first content, from when it was due; the whole time if none came."""
        return (self.first or self.ended) - self.due

    @property
    def instance(self) -> str:
        """The process that answered."""
        return self.response_id.partition(".")[0]

    def as_json(self) -> dict[str, Any]:
        """For the raw log."""
        return asdict(self)


class Client:
    """A few channels to one or more routers, used in turn."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._unary: Any = itertools.cycle([channel.unary_unary(UNARY) for channel in channels])
        self._stream: Any = itertools.cycle([channel.unary_stream(STREAM) for channel in channels])

    async def shoot(self, ask: Ask, due: float | None = None) -> Shot:
        """One call, now; never raises for what a service answers."""
        now = time.monotonic()
        shot = Shot(prompt=f"q{next(_numbers)}", streamed=ask.streamed, due=now if due is None else due, sent=now)
        body = _request(ask, shot.prompt)
        method = next(self._stream if ask.streamed else self._unary)
        call = method(body, timeout=ask.timeout_s, metadata=ask.metadata or None)
        cancel = None
        if ask.cancel_after_s is not None:
            cancel = asyncio.get_running_loop().call_later(ask.cancel_after_s, call.cancel)
        try:
            await (_streamed(call, shot) if ask.streamed else _whole(call, shot))
        finally:
            shot.ended = shot.ended or time.monotonic()
            if cancel is not None:
                cancel.cancel()
            call.cancel()
        return shot

    async def fire(self, ask: Ask, *, rate: float, count: int) -> list[Shot]:
        """`count` calls, `rate` a second, in the order in which they were due."""
        return await self.mix(itertools.repeat(ask, count), rate=rate)

    async def mix(self, asks: "Iterator[Ask] | Sequence[Ask]", *, rate: float) -> list[Shot]:
        """Calls of several kinds, `rate` a second."""
        start = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            running = []
            for number, ask in enumerate(asks):
                due = start + number / rate
                if (wait_s := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                running.append(tasks.create_task(self.shoot(ask, due)))
        return [task.result() for task in running]

    async def saturate(self, ask: Ask, *, workers: int, for_s: float) -> float:
        """Answers per second with `workers` calls always under way; a call that fails is none."""
        until = time.monotonic() + for_s
        done = 0

        async def work() -> None:
            nonlocal done
            while time.monotonic() < until:
                shot = await self.shoot(ask)
                done += shot.ok

        started = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(work())
        return done / (time.monotonic() - started)


@asynccontextmanager
async def client(address: str, *, channels: int = CHANNELS, options: Any = OPTIONS) -> Any:
    """A client of the router at `address`, for the body of an `async with`."""
    opened = [grpc.aio.insecure_channel(address, options=options) for _ in range(channels)]
    try:
        yield Client(opened)
    finally:
        for channel in opened:
            await channel.close()


def _request(ask: Ask, prompt: str) -> bytes:
    part = content_pb2.Part(text=content_pb2.TextPart(text=prompt))
    request = chat_pb2.StreamGenerateRequest(model=ask.model)
    request.prompt.messages.add(role=content_pb2.ROLE_USER, parts=[part])
    timeouts = request.options.timeouts
    for name, value in (("first_event", ask.first_event_s), ("between_events", ask.between_events_s)):
        if value is not None:
            getattr(timeouts, name).CopyFrom(Duration(seconds=int(value), nanos=int(value % 1 * 1e9)))
    return request.SerializeToString()


async def _whole(call: Any, shot: Shot) -> None:
    try:
        raw = await call
        shot.ended = time.monotonic()
    except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
        await _failed(call, error, shot)
        return
    answer = chat_pb2.GenerateResponse.FromString(raw)
    shot.code = "OK"
    shot.first = shot.ended
    shot.text = "".join(part.text.text for candidate in answer.candidates for part in candidate.message.parts)
    shot.response_id = answer.start.response_id
    _take_end(shot, answer.end)
    _take_trailers(shot, await call.trailing_metadata())


async def _streamed(call: Any, shot: Shot) -> None:
    texts: list[str] = []
    expected = 1
    try:
        async for raw in call:
            frame = chat_pb2.StreamGenerateResponse.FromString(raw)
            if frame.first_sequence:
                if frame.first_sequence != expected:
                    shot.grammar = f"frame {frame.first_sequence} came where {expected} was due"
                expected += len(frame.events)
            for event in frame.events:
                _take_event(event, shot, texts)
        shot.ended = time.monotonic()
        shot.code = "OK"
        _take_trailers(shot, await call.trailing_metadata())
    except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
        await _failed(call, error, shot)
    finally:
        shot.text = "".join(texts)


def _take_event(event: response_pb2.StreamEvent, shot: Shot, texts: list[str]) -> None:
    kind = event.WhichOneof("kind")
    if shot.ends:
        shot.grammar = f"{kind} came after the end"
    if kind == "text_delta":
        texts.append(event.text_delta)
    elif kind == "start":
        shot.response_id = event.start.response_id
    elif kind == "restart":
        texts.clear()
    elif kind == "end":
        _take_end(shot, event.end)
    if shot.first is None and kind in ("text_delta", "part_start"):
        shot.first = time.monotonic()


async def _failed(call: Any, error: BaseException, shot: Shot) -> None:
    if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) and task.cancelling():
        raise error
    shot.ended = time.monotonic()
    shot.code = (await call.code()).name
    trailers = tuple((str(key), value) for key, value in (await call.trailing_metadata()) or ())
    typed = from_trailers(trailers)
    shot.message = typed.message if typed else (await call.details()) or ""
    shot.reason = reason_name(typed.reason) if typed else "UNTYPED"
    if typed is not None and typed.HasField("retry_delay"):
        shot.retry_delay_s = typed.retry_delay.ToTimedelta().total_seconds()
    end = end_from_trailers(trailers)
    if end is not None and not shot.ends:
        _take_record(shot, end)
    _take_trailers(shot, trailers)


def _take_end(shot: Shot, end: response_pb2.ResponseEnd) -> None:
    shot.ends += 1
    _take_record(shot, end)


def _take_record(shot: Shot, end: response_pb2.ResponseEnd) -> None:
    shot.outcome = end.outcome
    shot.usage_source = end.usage.source
    shot.response_id = shot.response_id or end.response_id


def _take_trailers(shot: Shot, trailers: Trailers) -> None:
    for key, value in trailers or ():
        if key == metadata.BACKEND:
            shot.backend = str(value)
        elif key == metadata.PUSHBACK:
            shot.pushback = str(value)
        elif key == metadata.ROUTER_END and isinstance(value, bytes):
            end = response_pb2.RouterEnd.FromString(value)
            shot.attempts = [_attempt(one.backend, one.error) for one in end.attempts]


def _attempt(backend: str, error: error_pb2.CallError) -> dict[str, Any]:
    return {
        "backend": backend,
        "reason": reason_name(error.reason),
        "message": error.message,
        "http": error.http_status,
    }
