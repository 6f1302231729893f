"""The routes file while the router runs: swapped without a break, or kept when it cannot be used."""

import asyncio
import os
import signal
import sys

import grpc
import pytest

from antiphon.config.v1 import suite_pb2
from antiphon.llm.v1 import chat_pb2
from antiphon.router.v1 import router_pb2
from antiphon_kit.config import ConfigError
from antiphon_kit.settings import ServiceSettings, SettingError
from antiphon_router.__main__ import open_routes
from antiphon_router.core.values import AfterContent, Hedge, RoutePolicy, State
from antiphon_router.settings import RouterSettings
from antiphon_router.shell.config import catalog_from
from antiphon_router.shell.routes import Routes
from antiphon_router.shell.routes_file import RoutesFile
from antiphon_router.shell.service import serving

LIST = "/antiphon.router.v1.RouterAdminService/ListBackends"


def text(**backends: str) -> str:
    """A routes file with a backend for each name, at that address."""
    rows = [f"  - {{id: {name}, provider: {name}, addresses: ['{at}']}}" for name, at in backends.items()]
    return "backends:\n" + "\n".join(rows) + "\n"


def replace(path, content: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(content)
    new.rename(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "routes.yaml"


class Running:
    """A router over the file at `path`, looked at often."""

    def __init__(self, path) -> None:
        self.path = path
        self.file = RoutesFile(str(path), every_s=0.02)
        self.routes = Routes(self.file.load())

    async def __aenter__(self) -> "Running":
        settings = RouterSettings(service=ServiceSettings(), admin_listen="127.0.0.1:0", config=str(self.path))
        self._serving = serving(settings, self.routes, file=self.file)
        self.router = await self._serving.__aenter__()
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.router.public.port}")
        self.admin = grpc.aio.insecure_channel(f"127.0.0.1:{self.router.admin.port}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        await self.admin.close()
        await self._serving.__aexit__(None, None, None)

    async def generate(self, model: str) -> bytes:
        call = self.channel.unary_unary("/antiphon.llm.v1.ChatService/Generate")
        return await call(chat_pb2.GenerateRequest(model=model).SerializeToString(), timeout=5, wait_for_ready=True)

    async def listed(self) -> router_pb2.ListBackendsResponse:
        return router_pb2.ListBackendsResponse.FromString(await self.admin.unary_unary(LIST)(b""))

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - plain state
                await asyncio.sleep(0.005)

    def states(self, backend: str) -> set[State]:
        fleet = self.router.roster.fleet
        return {fleet.healths[replica.key].state for replica in fleet.replicas.get(backend, ())}


async def test_new_routes_are_taken_and_a_stream_of_the_old_ones_goes_on(adapters, kit, path):
    old, new = await adapters(2)
    hang = asyncio.Event()
    old.stream = kit.streams(*kit.WHOLE[:1], hang=hang)
    path.write_text(text(old=old.address))
    async with Running(path) as running:
        await running.until(lambda: State.HEALTHY in running.states("old"))
        body = chat_pb2.StreamGenerateRequest(model="old/m").SerializeToString()
        stream = running.channel.unary_stream("/antiphon.llm.v1.ChatService/StreamGenerate")(body, timeout=20)
        await stream.read()
        version = (await running.listed()).routes.version
        replace(path, text(new=new.address))
        await running.until(lambda: State.HEALTHY in running.states("new"))
        assert running.states("old") == {State.DRAINING}
        await running.generate("new/m")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await running.generate("old/m")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND, "what was resolved before is not remembered"
        listed = await running.listed()
        assert [backend.id for backend in listed.backends] == ["new"]
        assert listed.routes.version != version
        hang.set()
        _, error = await kit.rest_of(stream)
        assert error is None
        assert stream.done()
        await running.until(lambda: running.states("old") == set())


async def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_until_it_is_mended(adapters, path, caplog):
    (one,) = await adapters()
    good = text(a=one.address)
    path.write_text(good)
    async with Running(path) as running:
        await running.until(lambda: State.HEALTHY in running.states("a"))
        replace(path, "backends: [{id: A, provider: p}]\nroutes: [{model: r}]\n")
        await running.until(lambda: running.routes.refused is not None)
        listed = await running.listed()
        assert [problem.partition(": ")[2].partition(":")[0] for problem in listed.routes.problems] == [
            "backends[0].addresses", "backends[0].id", "routes[0].targets",
        ]  # fmt: skip
        assert listed.routes.HasField("problem_time")
        await running.generate("a/m")
        path.unlink()
        await running.until(lambda: "no such file" in str(running.routes.refused))
        await asyncio.sleep(0.1)
        path.write_text(good)
        await running.until(lambda: running.routes.refused is None)
        assert not (await running.listed()).routes.problems
        await running.generate("a/m")
    alarms = [record for record in caplog.records if record.message == "routes_refused"]
    assert len(alarms) == 2, "one alarm per state of the file"
    assert len(alarms[0].problems) == 3


async def test_only_content_counts(path):
    path.write_text(text(a="h:1"))
    file = RoutesFile(str(path), every_s=0.01)
    routes = Routes(file.load())
    loaded, seen = routes.loaded, []
    routes.follow(seen.append)
    task = asyncio.create_task(file.follow(routes))
    replace(path, text(a="h:1"))
    os.utime(path, (1, 1))
    await asyncio.sleep(0.1)
    assert routes.loaded is loaded
    assert seen == [loaded]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_cache_of_names_begins_anew():
    routes = Routes.of(suite_pb2.Suite())
    before = routes.resolved
    before["m", ""] = "something"
    routes.swap(routes.loaded)
    assert routes.resolved == {}
    assert routes.resolved is not before


async def test_sighup_looks_at_once(adapters, path):
    old, new = await adapters(2)
    path.write_text(text(old=old.address))
    read, write = os.pipe()
    env = {
        "PATH": os.environ["PATH"], "ANTIPHON_CONFIG": str(path), "ANTIPHON_LISTEN": "127.0.0.1:0",
        "ANTIPHON_ADMIN_LISTEN": "127.0.0.1:0", "ANTIPHON_READY_FD": str(write),
    }  # fmt: skip
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "antiphon_router", env=env, pass_fds=(write,), stderr=asyncio.subprocess.PIPE
    )
    os.close(write)
    with os.fdopen(read) as ready:
        await asyncio.to_thread(ready.readline)
    # Same time, same inode, same size: nothing but the signal tells.
    stat = path.stat()
    path.write_text(text(old=new.address).ljust(stat.st_size)[: max(stat.st_size, len(text(old=new.address)))])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    program.send_signal(signal.SIGHUP)
    assert program.stderr is not None
    async with asyncio.timeout(20):
        while b"routes_loaded" not in await program.stderr.readline():
            pass
    program.send_signal(signal.SIGTERM)
    await program.communicate()
    assert program.returncode == 0


def test_what_this_host_cannot_do_is_refused(path):
    path.write_text(text(a="k8s:///ns/svc:grpc"))
    outside = RouterSettings.from_env({"ANTIPHON_CONFIG": str(path)})
    with pytest.raises(SettingError, match=r"KUBERNETES_SERVICE_HOST.*run in a pod, or use dns:///"):
        open_routes(outside).load()
    pod = {"ANTIPHON_CONFIG": str(path), "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    inside = RouterSettings.from_env(pod)
    assert inside.kubernetes == "https://[fd00::1]:6443"
    assert open_routes(inside).load().catalog.providers["a"][0].addresses == ("k8s:///ns/svc:grpc",)


def test_a_default_that_leads_nowhere_and_a_file_that_is_none_are_refused(path):
    path.write_text(text(a="h:1"))
    with pytest.raises(SettingError, match="DEFAULT_LLM"):
        RoutesFile(str(path), "nosuch").load()
    path.write_text("")
    with pytest.raises(ConfigError, match="empty"):
        RoutesFile(str(path)).load()


def test_policies_reach_the_catalog():
    suite = suite_pb2.Suite(
        backends=[suite_pb2.Backend(id="a", provider="p", default_model="m", relative_cost=0.5, tokens_per_minute=7)],
        routes=[
            suite_pb2.Route(model="plain", targets=[suite_pb2.RouteTarget(backend="a")]),
            suite_pb2.Route(
                model="rich",
                targets=[suite_pb2.RouteTarget(backend="a"), suite_pb2.RouteTarget(backend="a", long_context=True)],
                after_content=["AFTER_CONTENT_HOLD", "AFTER_CONTENT_RESTART"],
                hedge=suite_pb2.Hedge(),
                shadows=[suite_pb2.Shadow(backend="a", percent=2.5)],
                order="ORDER_CHEAPEST",
            ),
        ],
    )
    suite.routes[1].first_content_timeout.FromMilliseconds(1500)
    suite.routes[1].targets.add(backend="a", canary_percent=5)
    catalog = catalog_from(suite)
    assert set(catalog.policies) == {"rich"}
    policy = catalog.policies["rich"]
    assert policy == RoutePolicy(
        after_content=frozenset({AfterContent.HOLD, AfterContent.RESTART}),
        hedge=Hedge(),
        first_content_timeout_s=1.5,
        shadows=policy.shadows,
        cheapest=True,
    )
    assert [(s.candidate.backend.id, s.candidate.model, s.percent) for s in policy.shadows] == [("a", "m", 2.5)]
    plain, larger, canary = catalog.routes["rich"]
    assert (plain.canary_percent, plain.long_context, larger.long_context, canary.canary_percent) == (
        None, False, True, 5,
    )  # fmt: skip
    assert (plain.backend.relative_cost, plain.backend.tokens_per_minute) == (0.5, 7)
    suite.routes[1].hedge.delay.FromMilliseconds(200)
    suite.routes[1].hedge.max_percent = 1
    assert catalog_from(suite).policies["rich"].hedge == Hedge(0.2, 1)
