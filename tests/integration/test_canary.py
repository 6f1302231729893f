"""Neither a provider's key nor a caller's words are written anywhere: not in answers, logs, traces or command lines.

Every provider's calls, good and failing, directly and through the router, at debug level and with telemetry on.
"""

import base64
import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from collector import Collector, collecting

from antiphon.llm.v1 import chat_pb2
from antiphon_conformance import bindings, names
from antiphon_conformance.calling import Ask, limits
from antiphon_conformance.canary import forms, search
from antiphon_conformance.cases.fixtures import Models
from antiphon_conformance.deployed import DeployedOnWire
from antiphon_conformance.outcome import Target
from antiphon_conformance.program import Launch, Program, routed, started
from antiphon_conformance.vendor.scenes import Scene
from antiphon_conformance.vendor.script import Script
from antiphon_conformance.vendor.stage import Vendor, performing
from antiphon_conformance.wires.openai_chat import OpenAIChat

# Of the characters that a header carries, with some that are written otherwise in URLs.
KEY = "sk-canary/5f1d+0a7be3c94e20=="
PROMPT = "prompt canary, 9c41/7d=è"
SCENES = (Scene.PLAIN, Scene.ONE_TOOL, Scene.GARBAGE_LATE, Scene.RST_MID_EVENT, Scene.ERROR_EVENT_LATE)
SPARES = 40


@dataclass
class Deployment:
    """One provider behind a router, and where both tell of themselves."""

    vendor: Vendor
    provider: Program
    router: Program
    collector: Collector
    name: str
    direct: Target
    routed: Target

    def told(self) -> dict[str, bytes]:
        """Everything but answers, once both have ended."""
        said = {}
        for program in (self.router, self.provider):
            said[f"command line of {program.name}"] = program.command_line().encode()
            program.terminate()
            assert program.wait() == 0
            said[f"log of {program.name}"] = program.log().encode()
        return {**said, **{kind: b"\n".join(each) for kind, each in self.collector.taken.items()}}


@contextlib.contextmanager
def deployed(bound: type[DeployedOnWire]) -> Iterator[Deployment]:
    with contextlib.ExitStack() as stack:
        collector = stack.enter_context(collecting())
        told = {"ANTIPHON_LOG_LEVEL": "debug", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}"}
        vendor = stack.enter_context(performing(bound.wire))
        launch = replace(bound.launch, env={**told, "ANTIPHON_STATE_DOMAIN": "canary", **bound.launch.env})
        provider = stack.enter_context(started(launch, vendor=vendor.url, key=KEY))
        provider.until_serving()
        # A refused account is out for a while; under another name it is another one.
        spares = [f"spare-{number}" for number in range(SPARES)]
        backends = {name: [provider.address] for name in (bound.provider, *spares)}
        router = stack.enter_context(routed(backends, **told))
        yield Deployment(
            vendor,
            provider,
            router,
            collector,
            bound.provider,
            Target(provider.address, bound.provider),
            Target(router.address, bound.provider, routed=True, spares=iter(spares)),
        )


def scripts(vendor: Vendor) -> list[tuple[str, Scene | Script]]:
    told: list[tuple[str, Scene | Script]] = [(scene.slug, scene) for scene in SCENES]
    told += [(f"echo {title}", script) for title, script in vendor.wire.echoing(KEY).items()]
    refusals = vendor.wire.refusals
    return told + [(title, refusals[title].script()) for title in ("key", "rate", "internal", "unknown model")]


async def answers(deployment: Deployment) -> dict[str, bytes]:
    """What callers got, by what they asked for."""
    got = {}
    for target in (deployment.direct, deployment.routed):
        async with grpc.aio.insecure_channel(target.address) as channel:
            for streamed in (False, True):
                ask = Ask(channel, target, streamed=streamed)
                for title, script in scripts(deployment.vendor):
                    request = ask.request(deployment.vendor.play(script).model, PROMPT)
                    outcome = await ask.send(limits(request, first_event=5.0))
                    got[f"{title}, {target.address}, {streamed}"] = outcome.everything().encode()
            listed = await Models(channel).list()
            got[f"models, {target.address}"] = listed.SerializeToString()
            count = channel.unary_unary(names.CHAT + "CountTokens")
            ask_count = chat_pb2.StreamGenerateRequest(model=listed.models[0].id)
            ask_count.prompt.messages.add(role=3).parts.add().text.text = PROMPT
            try:
                got[f"count, {target.address}"] = await count(ask_count.SerializeToString(), timeout=5.0)
            except grpc.aio.AioRpcError as raised:
                got[f"count, {target.address}"] = repr(raised).encode()
    return got


@pytest.mark.parametrize("bound", bindings.on_wires(Path(__file__).parents[2]), ids=lambda bound: bound.__name__)
async def test_neither_key_nor_prompt_is_written_anywhere(bound: type[DeployedOnWire]) -> None:
    with deployed(bound) as deployment:
        said = await answers(deployment)
        used = {deployment.vendor.wire.key(one.request) for one in deployment.vendor.witness.exchanges}
        said |= deployment.told()
    assert used == {KEY}, "or there was nothing to lose"
    assert len(said["traces"]) > 10_000, "or nothing was traced"
    assert said[f"log of {bound.launch.module}"].count(b"\n") > len(scripts(deployment.vendor))
    assert search(KEY, said) == []
    assert search(PROMPT, said) == []


# -- the search itself

LEAKY = """
import base64, os, runpy, sys
from urllib.parse import quote
from antiphon_kit import telemetry_otel
from antiphon_wires import classification

key = os.environ["OPENAI_API_KEY"]
print("x" + base64.b64encode(b"ab" + key.encode()).decode(), file=sys.stderr, flush=True)
classify, start_call = classification.classify, telemetry_otel.OtelTelemetry.start_call

def tells(*given, **named):
    error = classify(*given, **named)
    error.message += key.encode().hex()
    return error

def traces(*given):
    span = start_call(*given)
    span.attribute("url", quote(key, safe=""))
    return span

classification.classify, telemetry_otel.OtelTelemetry.start_call = tells, traces
runpy.run_module("antiphon_provider_openai", run_name="__main__", alter_sys=True)
"""


class Leaky(DeployedOnWire):
    provider = "openai"
    wire = OpenAIChat()
    launch = Launch(
        "leaky",
        {"OPENAI_BASE_URL": "{vendor}/v1", "OPENAI_API_KEY": "{key}"},
        # `started` fills names in braces in.
        files={"leaky.py": LEAKY.replace("{", "{{").replace("}", "}}")},
    )


async def test_a_program_that_tells_its_key_is_caught() -> None:
    with deployed(Leaky) as deployment:
        refused = deployment.vendor.wire.refusals["internal"].script()
        async with grpc.aio.insecure_channel(deployment.direct.address) as channel:
            ask = Ask(channel, deployment.direct, streamed=False)
            outcome = await ask(deployment.vendor.play(refused).model, PROMPT)
        said = {"error": outcome.everything().encode(), **deployment.told()}
    assert set(search(KEY, said)) >= {"traces: URL-encoded", "error: hex", "log of leaky: base64 at 2"}


@pytest.mark.parametrize("form", forms(KEY))
def test_every_form_is_found_wherever_it_stands(form: str) -> None:
    rng = random.Random(form)
    noise = base64.b64encode(rng.randbytes(300))
    said = {"quiet": noise, "loud": noise[:100] + forms(KEY)[form] + noise[100:]}
    assert f"loud: {form}" in search(KEY, said)
    assert not [hit for hit in search(KEY, said) if hit.startswith("quiet")]


def test_base64_is_found_at_every_offset_and_before_every_end() -> None:
    for before in range(6):
        for after in range(6):
            text = b"\xff" * before + KEY.encode() + b"\xff" * after
            for encoded in (base64.b64encode(text), base64.urlsafe_b64encode(text)):
                assert search(KEY, {"x": encoded}), (before, after)
