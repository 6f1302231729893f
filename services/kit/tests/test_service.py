"""A server's life: NOT_SERVING first, the probe's word, drain in every phase, signals."""

import asyncio
import os
import signal
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antiphon.llm.v1 import response_pb2
from antiphon_contract.errors import CallFailure, Reason, call_error, failure
from antiphon_kit import channel_options, health
from antiphon_kit.admission import Admission
from antiphon_kit.service import Service, until_signalled
from antiphon_kit.settings import SettingError

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
CHAT = "antiphon.llm.v1.ChatService"


def stub_of(caller):
    return health_pb2_grpc.HealthStub(caller.channel)


async def status(caller, name=CHAT):
    return (await stub_of(caller).Check(health_pb2.HealthCheckRequest(service=name))).status


async def becomes(caller, wanted):
    watch = stub_of(caller).Watch(health_pb2.HealthCheckRequest(service=CHAT))
    async with asyncio.timeout(2):
        while (await watch.read()).status != wanted:
            pass
    watch.cancel()


async def test_not_serving_from_the_first_instant_for_every_name():
    service = Service("127.0.0.1:0", channel_options.provider_server(1 << 20), (), ("a.B", "c.D"))
    async with service, grpc.aio.insecure_channel(service.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "a.B", "c.D"):
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == NOT_SERVING
        await service.health.set("a.B", True)
        assert (await stub.Check(health_pb2.HealthCheckRequest(service="a.B"))).status == SERVING
        assert (await stub.Check(health_pb2.HealthCheckRequest(service="c.D"))).status == NOT_SERVING


async def test_health_follows_the_provider_and_watch_tells(scripted, dial, caplog, until):
    caplog.set_level("INFO")
    provider = scripted(not_ready=failure(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, "set OPENAI_API_KEY"))
    async with dial(provider) as caller:
        watch = stub_of(caller).Watch(health_pb2.HealthCheckRequest(service=CHAT))
        assert (await watch.read()).status == NOT_SERVING
        await until(lambda: provider.probes >= 2)
        provider.not_ready = None
        assert (await asyncio.wait_for(watch.read(), 2)).status == SERVING
        assert await status(caller, "") == SERVING
        provider.not_ready = ValueError("canary")
        assert (await asyncio.wait_for(watch.read(), 2)).status == NOT_SERVING
        watch.cancel()
    lines = [(record.serving, record.reason, record.detail) for record in caplog.records if record.message == "health"]
    assert lines[0] == (False, "PROVIDER_CREDENTIALS", "set OPENAI_API_KEY")
    assert [line[:2] for line in lines[1:]] == [(True, ""), (False, "GATEWAY_INTERNAL")]


async def test_a_probe_that_hangs_is_a_no(monkeypatch):
    monkeypatch.setattr(health, "PROBE_LIMIT_S", 0.02)
    seen = asyncio.Queue()

    class Recorded:
        async def set_all(self, serving):
            seen.put_nowait(serving)

    async def hang():
        await asyncio.Event().wait()

    async with health.probing(health.Probe(hang, Recorded(), every_s=0.02)):
        assert await asyncio.wait_for(seen.get(), 2) is False


@pytest.mark.parametrize(
    ("reason", "http_status", "serving"),
    [
        (Reason.ERROR_REASON_PROVIDER_CREDENTIALS, 401, True),
        (Reason.ERROR_REASON_QUOTA_EXHAUSTED, 402, True),
        (Reason.ERROR_REASON_PROVIDER_CREDENTIALS, 0, False),
        (Reason.ERROR_REASON_PROVIDER_ERROR, 500, False),
    ],
    ids=["refused key", "spent account", "no key", "broken vendor"],
)
async def test_what_a_vendor_says_of_the_account_does_not_put_the_process_out(reason, http_status, serving):
    seen = asyncio.Queue()

    class Recorded:
        async def set_all(self, serving):
            seen.put_nowait(serving)

    async def ready():
        raise CallFailure(call_error(reason, "refused", http_status=http_status))

    async with health.probing(health.Probe(ready, Recorded())):
        assert await asyncio.wait_for(seen.get(), 2) is serving


async def test_an_address_in_use_is_a_setting_error():
    first = Service("127.0.0.1:0", channel_options.provider_server(1 << 20), (), ())
    async with first:
        second = Service(first.address, channel_options.provider_server(1 << 20), (), (), setting="ANTIPHON_ADMIN")
        with pytest.raises(SettingError, match=r"ANTIPHON_ADMIN='127\.0\.0\.1:\d+': .*; choose a free port"):
            async with second:
                pass


def slow_script(events, *, content):
    opened = asyncio.Event()

    async def wait(turn):
        await opened.wait()

    opening = [events.start(), events.part(), events.text("abcd")] if content else [events.start()]
    return opened, [opening, wait, [events.part(1), events.stop(), events.stop(candidate=1)]]


async def test_running_calls_finish_in_the_grace_and_watches_do_not_hold_it_up(events, scripted, dial, until):
    opened, script = slow_script(events, content=True)
    async with dial(scripted(script), drain_grace_s=30) as caller:
        await becomes(caller, SERVING)
        watch = stub_of(caller).Watch(health_pb2.HealthCheckRequest(service=CHAT))
        assert (await watch.read()).status == SERVING
        call = caller.open()
        await call.read()
        draining = asyncio.create_task(caller.service.drain())
        assert (await watch.read()).status == NOT_SERVING
        assert caller.service.draining.is_set()
        late = asyncio.create_task(caller.stream())
        await until(lambda: len(caller.provider.turns) == 2)
        opened.set()
        answer = await caller.collect(call)
        assert (await late).code == grpc.StatusCode.OK
        began = time.monotonic()
        await asyncio.wait_for(draining, 5)
        assert time.monotonic() - began < 1
        with pytest.raises(grpc.aio.AioRpcError):
            await watch.read()
    assert answer.code == grpc.StatusCode.OK
    assert answer.record.outcome == response_pb2.ResponseEnd.OUTCOME_COMPLETED
    assert caller.provider.acloses == 1


@pytest.mark.parametrize("content", [False, True])
async def test_what_does_not_finish_in_the_grace_gets_a_typed_end(events, scripted, dial, until, content):
    _, script = slow_script(events, content=content)
    provider = scripted(script)
    async with dial(provider, drain_grace_s=0.5) as caller:
        answering = asyncio.create_task(caller.stream())
        unary = asyncio.create_task(caller.generate())
        await until(lambda: len(provider.turns) == 2)
        began = time.monotonic()
        await caller.service.drain()
        elapsed_s = time.monotonic() - began
        answer, folded = await answering, await unary
    assert 0.4 <= elapsed_s < 1.0
    assert answer.code == folded.code == grpc.StatusCode.UNAVAILABLE
    assert folded.reason == "GATEWAY_DRAINING"
    if content:
        assert (answer.reason, answer.error.native_code) == ("STREAM_INTERRUPTED", "GATEWAY_DRAINING")
        assert answer.kinds[-1] == "end"
        assert answer.record.usage.output_tokens == 1
    else:
        assert (answer.reason, answer.frames) == ("GATEWAY_DRAINING", [])
        assert answer.error.retry_other_backend
    assert answer.record.usage.input_tokens == 3
    assert provider.closed == ["CancelledError"] * 2


async def test_lame_duck_still_takes_calls(events, scripted, dial):
    script = [[events.start(), events.part(), events.stop()]]
    async with dial(scripted(script), drain_lameduck_s=0.3) as caller:
        await becomes(caller, SERVING)
        draining = asyncio.create_task(caller.service.drain())
        await becomes(caller, NOT_SERVING)
        assert (await caller.stream()).code == grpc.StatusCode.OK
        await draining
        assert (await caller.stream()).code == grpc.StatusCode.UNAVAILABLE


def test_a_call_that_slips_in_while_closing_is_told_so():
    admission = Admission(1, 1)
    admission.close()
    with pytest.raises(CallFailure, match="GATEWAY_DRAINING"), admission.slot(1):
        pass


async def test_drain_may_be_called_twice(scripted, dial):
    async with dial(scripted()) as caller:
        await asyncio.gather(caller.service.drain(), caller.service.drain())


async def test_first_signal_drains_second_hurries(events, scripted, dial):
    _, script = slow_script(events, content=True)
    async with dial(scripted(script), drain_grace_s=60) as caller:
        call = caller.open()
        await call.read()
        ready = asyncio.Event()
        until = asyncio.create_task(until_signalled(caller.service, ready.set))
        await ready.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(caller.service.draining.wait(), 2)
        await asyncio.sleep(0.05)
        assert not until.done()
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        answer = await caller.collect(call)
        await asyncio.wait_for(until, 5)
    assert time.monotonic() - began < 2
    assert answer.error.native_code == "GATEWAY_DRAINING"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


async def test_leaving_without_drain_cuts_what_runs(events, scripted, dial):
    _, script = slow_script(events, content=True)
    provider = scripted(script)
    async with dial(provider) as caller:
        call = caller.open()
        await call.read()
    assert provider.closed == ["CancelledError"]
    assert provider.acloses == 1
