"""Owns a small, slow and complete adapter of the Chat Completions wire: the suite must be green on it.

Given the name of a fault it has exactly that fault, and the suite must be red. It shares no code with the gateway.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from reference_wire import Decoder, Failed, payload, refused, sse_data

from antiphon.llm.v1 import chat_pb2, chat_pb2_grpc, error_pb2, models_pb2, models_pb2_grpc, response_pb2, usage_pb2
from antiphon_conformance import names, oracle
from antiphon_conformance.grammar import CONTENT

KEY = "sk-reference-canary-4711"
End = response_pb2.ResponseEnd
PARAMS = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty",
          "seed", "logprobs", "parallel_tool_calls", "store", "top_logprobs")  # fmt: skip
KEEPALIVE_S = 1.0
RANGES = {"max_output_tokens": (1, 1e9), "temperature": (0, 9), "top_p": (1e-9, 1), "candidate_count": (1, 9)}
ROLES = {1: "system", 2: "developer", 3: "user", 4: "assistant", 5: "tool"}
INCOMPLETE = {response_pb2.FINISH_REASON_MAX_OUTPUT_TOKENS, response_pb2.FINISH_REASON_CONTENT_FILTER}


def body_of(request: chat_pb2.StreamGenerateRequest, broken: str) -> bytes:
    """The vendor's request; raises Failed where ours is flawed."""
    if not request.prompt.messages:
        raise Failed("INVALID_REQUEST", "no messages", param="prompt.messages")
    for name, (low, high) in RANGES.items():
        if request.params.HasField(name) and not low <= getattr(request.params, name) <= high:
            raise Failed("INVALID_REQUEST", f"{name} is out of range", param=f"params.{name}")
    if request.options.timeouts.first_event.seconds > 3600:
        raise Failed("INVALID_REQUEST", "too long", param="options.timeouts.first_event")
    body: dict[str, Any] = {"model": request.model, "stream": True, "stream_options": {"include_usage": True}}
    body["messages"] = [_message(index, message) for index, message in enumerate(request.prompt.messages)]
    if request.params.HasField("max_output_tokens"):
        body["max_completion_tokens"] = request.params.max_output_tokens
    if request.params.stop:
        body["stop"] = list(request.params.stop)
    for name in PARAMS:
        value = getattr(request.params, name)
        if (request.params.HasField(name) and not (broken == "drops unknown parameters" and name == "top_k")) and (
            value or broken != "sends zeroes for nothing"
        ):
            body[name] = round(value, 1) + 1e-9 if broken == "reads floats" else value
    if broken == "sends defaults":
        body.setdefault("temperature", 1.0)
    patch = json.loads(request.options.provider_json.get("openai", "{}"))
    if {"model", "stream"} & set(patch):
        raise Failed("INVALID_REQUEST", "protected", param="options.provider_json")
    body = {name: value for name, value in {**body, **patch}.items() if value is not None}
    tools = [
        f'{{"type":"function","function":{{"name":{json.dumps(tool.function.name)},'
        f'"parameters":{tool.function.input_schema_json}}}}}'
        for tool in request.prompt.tools
    ]
    return (json.dumps(body)[:-1] + (f', "tools": [{",".join(tools)}]' if tools else "") + "}").encode()


def _message(index: int, message: Any) -> dict[str, Any]:
    path = f"prompt.messages[{index}]"
    if not message.role or not message.parts:
        raise Failed("INVALID_REQUEST", "a message without role or parts", param=path)
    if message.role == 3 and not message.parts[0].text.text:
        raise Failed("INVALID_REQUEST", "an empty text", param=path)
    if message.role == 5:
        result = message.parts[0].tool_result
        return {"role": "tool", "tool_call_id": result.tool_call_id, "content": result.parts[0].text.text}
    calls = [part.tool_call for part in message.parts if part.HasField("tool_call")]
    made = {"role": ROLES[message.role], "content": "".join(part.text.text for part in message.parts)}
    if calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.input}}
            for call in calls
        ]
    return made


class Reference(chat_pb2_grpc.ChatServiceServicer, models_pb2_grpc.ModelServiceServicer):
    """The adapter. `broken`: the fault it has."""

    def __init__(self, url: str, session: aiohttp.ClientSession, broken: str = "") -> None:
        self.url, self.session, self.broken = url, session, broken
        self.count = 0
        self.kept: list[aiohttp.ClientResponse] = []

    # The vendor.

    async def events(  # noqa: C901  # flat on purpose: one vendor call, top to bottom
        self, request: chat_pb2.StreamGenerateRequest
    ) -> AsyncIterator[list[Any]]:
        decoder, buffer, state = Decoder(self.broken), bytearray(), dict[str, bool]()
        body = body_of(request, self.broken)
        for _ in range(2 if self.broken == "retries by itself" else 1):
            try:
                response = await self.session.post(
                    f"{self.url}/v1/chat/completions", data=body, allow_redirects=self.broken == "follows redirects",
                    headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
                )  # fmt: skip
            except aiohttp.ClientError:
                raise Failed("PROVIDER_ERROR", "the connection broke") from None
            self.kept.append(response)
        try:
            if response.status != 200:
                raise refused(response.status, response.headers, await response.content.read(1 << 16))
            if response.content_type != "text/event-stream":
                raise Failed("UPSTREAM_PROTOCOL", "this is no event stream")
            async for chunk in response.content.iter_any():
                batch: list[Any] = []
                try:
                    for data in sse_data(buffer, chunk, state):
                        batch.extend(decoder.feed(data))
                finally:
                    if self.broken != "loses what came with an error":
                        yield self._with_facts(batch, response)
            if data := payload(bytes(buffer)):
                yield self._with_facts(list(decoder.feed(data)), response)
        except aiohttp.ClientPayloadError as error:
            if not decoder.ended:
                bad_encoding = "content-encoding" in str(error) or "decode" in str(error)
                raise Failed("UPSTREAM_PROTOCOL" if bad_encoding else "PROVIDER_ERROR") from None
        except (aiohttp.ClientError, ConnectionError):
            if not decoder.ended:
                raise Failed("PROVIDER_ERROR", "the connection broke") from None
        finally:
            if self.broken not in ("keeps the vendor working", "retries by itself"):
                response.close()
                self.kept.remove(response)
        if not decoder.ended and self.broken != "takes a cut for an end":
            raise Failed("PROVIDER_ERROR" if not decoder.opened else "UPSTREAM_PROTOCOL", "the vendor did not finish")

    def _with_facts(self, batch: list[Any], response: aiohttp.ClientResponse) -> list[Any]:
        for event in batch:
            if event.HasField("start"):
                event.start.provider_request_id = response.headers.get("x-request-id", "")
        return batch

    # Frames.

    async def frames(self, request: Any, context: Any, end: Any) -> AsyncIterator[Any]:
        metadata = dict(context.invocation_metadata())
        request.model = request.model.removeprefix("openai/")
        self.count += 1
        end.response_id = f"ref.{metadata.get('antiphon-attempt-id', self.count)}"
        end.provider, end.model = "openai", request.model
        began, sequence, held, content, said = time.monotonic(), 0, [], False, 0
        batches = self._limited(request)
        try:
            async with contextlib.aclosing(batches):
                async for batch in batches:
                    if batch is None:
                        yield _frame(0, [response_pb2.StreamEvent(keepalive=response_pb2.Keepalive())])
                        continue
                    for event in batch:
                        self._note(event, end)
                        said += len(event.text_delta) + len(event.tool_input_delta)
                    held += batch
                    content = content or any(event.WhichOneof("kind") in CONTENT for event in held)
                    if held and (content or self.broken == "sends start early"):
                        yield _frame(sequence + 1, held)
                        sequence += len(held)
                        held = []
        except Failed as failed:
            self._fail(failed, end, content)
        self._close(end, request, said, began, sequence + 1)
        if sequence and self.broken != "is silent about its end":
            if held and end.outcome != End.OUTCOME_FAILED:
                yield _frame(sequence + 1, held)
            event = response_pb2.StreamEvent(end=end)
            gap = self.broken == "leaves gaps"
            yield _frame(sequence + 1 + gap, [event] if self.broken != "ends twice" else [event, event])
        else:
            end.event_count = 0

    async def _limited(self, request: Any) -> AsyncIterator[Any]:
        """Batches within the caller's limits; None: a keepalive is due."""
        limits = request.options.timeouts
        events = self.events(request)
        started = progress = time.monotonic()
        content = False
        async with contextlib.aclosing(events):
            while True:
                reading = asyncio.ensure_future(anext(events))
                try:
                    while not reading.done():
                        limit = limits.between_events if content else limits.first_event
                        due = progress + (limit.ToNanoseconds() / 1e9 or 60)
                        if limits.HasField("per_attempt"):
                            due = min(due, started + limits.per_attempt.ToNanoseconds() / 1e9)
                        await asyncio.wait({reading}, timeout=min(KEEPALIVE_S, max(0.0, due - time.monotonic())))
                        if not reading.done() and time.monotonic() < due:
                            yield None
                        elif not reading.done() or (time.monotonic() > due and not content):
                            raise Failed("UPSTREAM_TIMEOUT", "the vendor is too slow")
                    batch = reading.result()
                except StopAsyncIteration:
                    return
                finally:
                    if not reading.done():
                        reading.cancel()
                        await asyncio.gather(reading, return_exceptions=True)
                kinds = {event.WhichOneof("kind") for event in batch}
                if kinds & (CONTENT | {"usage"}) or self.broken == "times bytes, not progress":
                    content, progress = content or bool(kinds & CONTENT), time.monotonic()
                elif time.monotonic() > progress + (
                    (limits.between_events if content else limits.first_event).ToNanoseconds() / 1e9 or 60
                ):
                    raise Failed("UPSTREAM_TIMEOUT", "the vendor is too slow")
                yield batch

    def _note(self, event: Any, end: Any) -> None:
        if event.HasField("start"):
            event.start.response_id, event.start.provider = end.response_id, "openai"
            event.start.state_domain = "ref"
            event.start.create_time.GetCurrentTime()
            end.model = event.start.model
        elif event.HasField("usage"):
            end.usage.CopyFrom(event.usage)
        elif event.HasField("warning"):
            end.warnings.append(event.warning)
        elif event.HasField("candidate_end"):
            end.finish_reasons.append(event.candidate_end.reason)

    def _fail(self, failed: Failed, end: Any, content: bool) -> None:
        reason = "STREAM_INTERRUPTED" if content and failed.reason != "CANCELLED" else failed.reason
        message = failed.message + (f" (key {KEY})" if self.broken == "tells the key" else "")
        end.outcome = End.OUTCOME_FAILED
        end.error.CopyFrom(
            error_pb2.CallError(
                code=names.CODES[reason].value[0], reason=error_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}"),
                message=message, http_status=failed.facts.get("http_status", 0), param=failed.facts.get("param", ""),
                native_code=failed.facts.get("native_code", ""),
            )
        )  # fmt: skip
        if failed.facts.get("retry_s") is not None and self.broken != "drops the retry hint":
            end.error.retry_delay.CopyFrom(Duration(nanos=0))
            end.error.retry_delay.FromNanoseconds(int(failed.facts["retry_s"] * 1e9))

    def _close(self, end: Any, request: Any, said: int, began: float, count: int) -> None:
        end.event_count = count
        end.timing.total_duration.FromNanoseconds(int((time.monotonic() - began) * 1e9))
        if end.HasField("usage"):
            if end.outcome == End.OUTCOME_FAILED:
                end.usage.source = usage_pb2.Usage.SOURCE_PROVIDER_PARTIAL
        else:
            zero = self.broken == "reports unknown usage as 0"
            end.usage.source = usage_pb2.Usage.SOURCE_GATEWAY_ESTIMATE
            end.usage.input_tokens = 0 if zero else max(1, request.ByteSize() // 4)
            if said and not zero:
                end.usage.output_tokens = max(1, said // 4)
        if not end.outcome:
            cut = INCOMPLETE & set(end.finish_reasons)
            end.outcome = End.OUTCOME_INCOMPLETE if cut else End.OUTCOME_COMPLETED

    # The contract.

    async def StreamGenerate(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if self.broken == "sends headers early":
            await context.send_initial_metadata(())
        end = End()
        frames = self.frames(request, context, end)
        async with contextlib.aclosing(frames):
            hoard = [frame async for frame in frames] if self.broken == "reads ahead without bound" else ()
            for frame in hoard:
                yield frame
            async for frame in frames:
                yield frame
        await self._finish(context, end)

    async def Generate(self, request: Any, context: Any) -> Any:
        end, got = End(), []
        ask = chat_pb2.StreamGenerateRequest.FromString(request.SerializeToString())
        frames = self.frames(ask, context, end)
        async with contextlib.aclosing(frames):
            async for frame in frames:
                got.append(frame)
        end.event_count = 0
        await self._finish(context, end)
        answer = oracle.of_stream(got)
        response = chat_pb2.GenerateResponse(start=answer.start, end=end)
        for index, parts in answer.parts.items():
            candidate = response.candidates.add(end=answer.finishes[index])
            candidate.message.parts.extend(parts)
        return response

    async def _finish(self, context: Any, end: Any) -> None:
        record = End()
        record.CopyFrom(end)
        record.usage.native_json = ""
        trailer = (names.END, record.SerializeToString())
        if end.outcome != End.OUTCOME_FAILED:
            context.set_trailing_metadata((trailer,))
            return
        status = status_pb2.Status(code=end.error.code, message=end.error.message)
        status.details.add().Pack(end.error)
        reason = error_pb2.ErrorReason.Name(end.error.reason).removeprefix("ERROR_REASON_")
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=names.DOMAIN))
        if end.error.HasField("retry_delay"):
            status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=end.error.retry_delay))
        context.set_trailing_metadata(
            ((names.DETAILS, status.SerializeToString()), trailer)
            + (() if self.broken == "invites a second retry layer" else ((names.PUSHBACK, "-1"),))
        )
        await context.abort(names.CODES[reason], end.error.message)

    async def ListModels(self, request: Any, context: Any) -> Any:
        names_ = ["a", "plain"]
        if request.page_token not in ("", *names_):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such page")
        first = names_.index(request.page_token) if request.page_token else 0
        page = names_[first : first + (request.page_size or 100)]
        more = names_[first + len(page) :]
        return models_pb2.ListModelsResponse(models=map(_model, page), next_page_token=more[0] if more else "")

    async def GetModel(self, request: Any, context: Any) -> Any:
        if request.model not in ("openai/a", "openai/plain"):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        return models_pb2.GetModelResponse(model=_model(request.model.removeprefix("openai/")))


def _model(name: str) -> models_pb2.Model:
    support = {f"params.{param}": models_pb2.SUPPORT_NATIVE for param in PARAMS}
    return models_pb2.Model(
        id=f"openai/{name}", provider="openai", native_id=name, operations=["generate"], support=support
    )


def _frame(first: int, events: list[Any]) -> chat_pb2.StreamGenerateResponse:
    return chat_pb2.StreamGenerateResponse(first_sequence=first, events=events)


@contextlib.asynccontextmanager
async def serving(url: str, broken: str = "") -> AsyncIterator[str]:
    """The address of a running reference adapter that calls the vendor at `url`."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        reference = Reference(url, session, broken)
        chat_pb2_grpc.add_ChatServiceServicer_to_server(reference, server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(reference, server)
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        for name in ("", names.CHAT_SERVICE):
            await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)
            for response in reference.kept:
                response.close()
