"""Owns `demo`: a real model answers, its replica is killed, the other one answers; then a key is rotated under calls.

Nothing in it is staged: what is printed was measured or read from the running services.
"""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TextIO

from antiphon.config.v1 import suite_pb2
from antiphon.llm.v1.params_pb2 import GenerateParams
from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_client import AntiphonError, AsyncClient
from antiphon_client.answer import Answer
from antiphon_client.client import AdminClient
from antiphon_embedded.demo_keys import KeyWay
from antiphon_embedded.demo_service import DemoFailure, Service, Starting, running
from antiphon_embedded.narrator import Narrator
from antiphon_embedded.plan import make_plan
from antiphon_embedded.ports import free_address
from antiphon_embedded.process import describe_exit, tail
from antiphon_embedded.settings import LauncherSettings
from antiphon_kit.settings import Env

PROVIDER: Final = "local"
REPLICAS: Final = 2
QUESTIONS: Final = ("Write two sentences about the sea.", "What is a choir? Answer in two sentences.")
# Greedy, so that the demo is the same story each time.
PARAMS: Final = GenerateParams(max_output_tokens=80, temperature=0)
_NOT_HERE: Final = frozenset({"DEFAULT_LLM", "MAX_TOKENS", "LLM_TIMEOUT"})
_ANSWER_S: Final = 60.0
_DRAIN_S: Final = 15.0
_NOTICE_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.1


async def run_demo(env: Env, out: TextIO, *, colour: bool) -> int:
    """Tell the whole story on `out`. Raises DemoFailure. No process is left when it ends."""
    began = time.monotonic()
    tell = Narrator(out, colour=colour)
    tell.heading("Antiphon: two replicas of a real model behind one router, all on this machine")
    with tempfile.TemporaryDirectory(prefix="antiphon-demo-") as directory:
        async with AsyncExitStack() as stack:
            demo = await _start(env, Path(directory), stack, tell)
            first = await demo.ask(tell, "1. Ask through the router", QUESTIONS[0])
            killed = await demo.kill(tell, first)
            second = await demo.ask(tell, "", QUESTIONS[1])
            if second.name == killed.name:
                raise DemoFailure(f"{killed.name} answered although it was killed")
            await demo.show_targets(tell, killed)
            await demo.keys.show(tell, "4. Rotate a provider key under calls", demo.client)
            await demo.drain(tell, killed)
    tell.heading(f"Done in {time.monotonic() - began:.1f} s. `make up` starts the suite for use.")
    return 0


async def _start(env: Env, directory: Path, stack: AsyncExitStack, tell: Narrator) -> "Demo":
    # What people configured for their own suite must not change the demo.
    clean = {name: value for name, value in env.items() if not name.startswith("ANTIPHON_") and name not in _NOT_HERE}
    admin = free_address()
    settings = LauncherSettings(directory / "routes.yaml", "127.0.0.1:0", admin, directory)
    backend = suite_pb2.Backend(id=PROVIDER, provider=PROVIDER, addresses=["127.0.0.1:0"] * REPLICAS)
    plan = make_plan(suite_pb2.Suite(backends=[backend]), settings, clean, lambda _: True)
    keys = await stack.enter_async_context(KeyWay(clean, directory, settings.routes))
    tell.fact(f"waiting for {REPLICAS} replicas to load the model, and for the router to find them")
    starting = [
        await stack.enter_async_context(running(one.command, directory / f"replica-{number}.log", f"replica {number}"))
        for number, one in enumerate(plan.providers, 1)
    ]
    replicas = list(await asyncio.gather(*(_introduced(one, tell) for one in starting)))
    write_routes([one.address for one in replicas], replicas[0].model, settings.routes, keys.backend)
    router = await stack.enter_async_context(running(plan.router.command, directory / "router.log", "router"))
    ready = await router.ready(tell)
    connections = await stack.enter_async_context(AsyncExitStack())
    client = await connections.enter_async_context(AsyncClient(ready.address, timeout_s=_ANSWER_S))
    operator = await connections.enter_async_context(AdminClient(admin))
    return Demo(replicas, ready, client, operator, connections, keys)


async def _introduced(starting: "Starting", tell: Narrator) -> Service:
    """A replica once it serves, with its instance: asked directly, because later an answer has to be told apart."""
    service = await starting.ready(tell)
    try:
        async with AsyncClient(service.address, timeout_s=_ANSWER_S) as client:
            model = (await client.models())[0].native_id
            answer = await client.generate("Hi", model=model, max_output_tokens=1)
    except AntiphonError as error:
        raise DemoFailure(f"{service.name} does not answer: {error}") from None
    return replace(service, model=model, instance=_instance(answer))


def _instance(answer: Answer) -> str:
    return answer.end.response_id.partition(".")[0]


def write_routes(addresses: list[str], model: str, path: Path, further: str = "") -> None:
    """The routes file of the demo. `further`: lines of another backend."""
    lines = ["backends:", f"  - id: {PROVIDER}", f"    provider: {PROVIDER}", f'    default_model: "{model}"']
    lines.append("    addresses:")
    lines += [f'      - "{address}"' for address in addresses]
    lines += [further] if further else []
    path.write_text("\n".join([*lines, f"default_llm: {PROVIDER}", ""]), encoding="utf-8")


@dataclass(slots=True)
class Demo:
    """The running services, and what is done with them."""

    replicas: list[Service]
    router: Service
    client: AsyncClient
    operator: AdminClient
    connections: AsyncExitStack
    keys: KeyWay

    async def ask(self, tell: Narrator, heading: str, question: str) -> Service:
        """Stream an answer, print where it came from and what it took. Returns the replica that served."""
        if heading:
            tell.heading(heading)
        tell.question(question)
        try:
            async with self.client.stream(question, params=PARAMS) as stream:
                async for piece in stream.text():
                    tell.piece(piece)
                answer = await stream.response()
        except AntiphonError as error:
            tell.end_of_answer()
            raise DemoFailure(f"no answer: {error}") from None
        tell.end_of_answer()
        served = self._served_by(answer)
        _tell_facts(tell, answer, served)
        return served

    def _served_by(self, answer: Answer) -> Service:
        instance = _instance(answer)
        for replica in self.replicas:
            if replica.instance == instance:
                return replica
        raise DemoFailure(f"an answer came from {instance!r}, which is none of the replicas")

    async def _targets(self) -> list[health_pb2.Target]:
        backends: list[router_pb2.Backend] = await self.operator.backends()
        return [
            target for backend in backends for target in backend.targets if target.scope == health_pb2.SCOPE_REPLICA
        ]

    async def kill(self, tell: Narrator, victim: Service) -> Service:
        """Kill the replica without warning."""
        tell.heading(f"2. Kill {victim.name} (SIGKILL to process {victim.child.pid}) and ask again at once")
        victim.child.kill()
        await victim.child.wait()
        return victim

    async def show_targets(self, tell: Narrator, killed: Service) -> None:
        """What the router knows of its replicas; waits for it to have noticed the dead one."""
        tell.heading("3. What the router knows now")
        targets = await self._targets_once_noticed(killed.address)
        tell.table(
            (replica.name, replica.address, *_describe(targets[replica.address]))
            for replica in self.replicas
            if replica.address in targets
        )

    async def _targets_once_noticed(self, dead: str) -> dict[str, health_pb2.Target]:
        deadline = time.monotonic() + _NOTICE_S
        while True:
            targets = {one.id: one for one in await self._targets()}
            if dead not in targets or targets[dead].state != health_pb2.HEALTH_STATE_HEALTHY:
                return targets
            if time.monotonic() > deadline:
                raise DemoFailure(f"the router still takes {dead} for healthy, {_NOTICE_S:g} s after it was killed")
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def drain(self, tell: Narrator, killed: Service) -> None:
        """End everything in order: the router first, so that nobody is sent to a replica that leaves."""
        tell.heading("5. Drain")
        # gRPC prints a line of its own when a service takes leave of an open connection.
        await self.connections.aclose()
        for service in (self.router, *(one for one in self.replicas if one.name != killed.name)):
            service.child.drain()
            try:
                code = await asyncio.wait_for(service.child.wait(), _DRAIN_S)
            except TimeoutError:
                raise DemoFailure(f"{service.name} did not end within {_DRAIN_S:g} s after SIGTERM") from None
            if code != 0:
                raise DemoFailure(
                    "\n".join([f"{service.name} ended with {describe_exit(code)}:", *tail(service.log, 5)])
                )
            tell.good(f"{service.name:<10} ended with {describe_exit(code)}")


def _tell_facts(tell: Narrator, answer: Answer, served: Service) -> None:
    usage, first = answer.usage, answer.time_to_first_content_s
    if usage is None or first is None or not answer.text:
        raise DemoFailure("the answer came without text or usage")
    rate = usage.output_tokens / max(answer.duration_s - first, 1e-6)
    retried = len(answer.attempts)
    tell.fact("")
    tell.table(
        [
            ("provider", answer.provider),
            ("model", answer.model),
            ("served by", served.name + (f", after {retried} failed attempt" + "s" * (retried > 1) if retried else "")),
            ("tokens", f"{usage.input_tokens} in, {usage.output_tokens} out"),
            ("first token", f"after {first * 1e3:.0f} ms"),
            ("speed", f"{rate:.0f} tokens/s"),
        ]
    )


def _describe(target: health_pb2.Target) -> tuple[str, str]:
    """State and what it means for calls, in words."""
    state = health_pb2.HealthState.Name(target.state).removeprefix("HEALTH_STATE_").lower().replace("_", " ")
    if target.state == health_pb2.HEALTH_STATE_HEALTHY:
        return state, "takes calls"
    reason = health_pb2.HealthReason.Name(target.reason).removeprefix("HEALTH_REASON_").lower().replace("_", " ")
    wait_s = target.next_try_time.seconds - time.time() if target.HasField("next_try_time") else 0.0
    return state, f"takes no calls: {reason}" + (f"; tried again in {wait_s:.0f} s" if wait_s >= 1 else "")
