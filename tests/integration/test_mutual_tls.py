"""Mutual TLS from client through router to provider: who is let in, and rotation of everything under load."""

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass, field, replace

import pytest
from authority import CALLER, PROVIDER, ROUTER, Authority, write

from antiphon.config.v1 import suite_pb2
from antiphon.llm.v1 import content_pb2, response_pb2
from antiphon.router.v1 import health_pb2
from antiphon_client import AdminClient, AsyncClient, RateLimited, RouterUnreachable, TlsFiles, Unauthenticated
from antiphon_contract import rotating_channel
from antiphon_contract.rotating_channel import RotatingChannel
from antiphon_embedded.health import watch
from antiphon_kit.server import serve
from antiphon_kit.settings import ServiceSettings
from antiphon_kit.tls import Transport, from_files
from antiphon_kit.tls_settings import TlsSettings
from antiphon_router.settings import RouterSettings
from antiphon_router.shell import channels as router_channels
from antiphon_router.shell.routes import Routes
from antiphon_router.shell.service import serving

pytestmark = pytest.mark.timeout(90)
Event = response_pb2.StreamEvent
BEGIN = [Event(part_start=response_pb2.PartStart(part=content_pb2.Part(text=content_pb2.TextPart())))]
STOP = [
    Event(part_end=response_pb2.PartEnd()),
    Event(candidate_end=response_pb2.CandidateEnd(reason=response_pb2.FINISH_REASON_STOP)),
]


@dataclass
class Told:
    """A provider that answers `hello`; asked for the model `slow`, it waits in the middle."""

    name: str = "told"
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(self, turn):
        yield [Event(start=response_pb2.ResponseStart(model="m")), *BEGIN, Event(text_delta="hel")]
        if turn.model == "slow":
            await self.release.wait()
        yield [Event(text_delta="lo"), *STOP]

    async def count_tokens(self, turn):
        raise NotImplementedError

    async def list_models(self):
        return ()

    async def ready(self):
        pass

    async def aclose(self):
        pass


@dataclass
class Bed:
    """A suite whose parties have files of one authority each."""

    router: TlsFiles
    provider: TlsFiles
    caller: TlsFiles
    running: object
    told: Told

    @property
    def address(self) -> str:
        return self.running.public.address

    def client(self, tls: TlsFiles | None) -> AsyncClient:
        return AsyncClient(self.address, tls=tls, timeout_s=20)

    async def until_serving(self) -> None:
        async with AsyncClient(self.address, tls=self.caller, timeout_s=20) as client:
            while True:
                with contextlib.suppress(Exception):
                    await client.generate("x", model="told/m")
                    return
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@contextlib.asynccontextmanager
async def suite(provider: TlsFiles, router: TlsFiles, caller: TlsFiles, **peers):
    told = Told()
    transport = Transport(from_files(provider), peers.pop("provider_peers", (ROUTER,)))
    async with serve(told, ServiceSettings(), transport=transport) as service:
        backends = [{"id": "b", "provider": "told", "addresses": [service.address]}]
        suite = suite_pb2.Suite(backends=backends, limits=peers.pop("limits", None))
        settings = RouterSettings(
            service=ServiceSettings(),
            admin_listen="127.0.0.1:0",
            config="",
            tls=TlsSettings(files=router, peers=peers.pop("router_peers", ())),
            **peers,
        )
        async with serving(settings, Routes.of(suite)) as running:
            yield Bed(router, provider, caller, running, told)


@pytest.fixture
async def bed(authority, tmp_path):
    files = (
        authority.files(tmp_path / name, identity, dns=dns)
        for name, identity, dns in (
            ("provider", PROVIDER, ("antiphon",)),
            ("router", ROUTER, ("antiphon", "antiphon-router")),
            ("caller", CALLER, ()),
        )
    )
    async with suite(*files) as bed:
        await bed.until_serving()
        yield bed


async def replica(admin: AdminClient) -> health_pb2.Target:
    """The one there is, as operators see it."""
    (backend,) = await admin.backends()
    return next(target for target in backend.targets if target.scope == health_pb2.SCOPE_REPLICA)


async def refusal(client) -> Exception:
    """Why a unary call and a stream fail: for the same reason."""
    async with client:
        with pytest.raises(Exception) as unary:  # noqa: PT011 - what it is, is for the caller to say
            await client.generate("x", model="told/m")
        with pytest.raises(type(unary.value)) as streamed:
            async with client.stream("x", model="told/m") as stream:
                await stream.response()
    assert str(streamed.value) == str(unary.value)
    return unary.value


async def test_none_of_those_who_may_not_is_let_in_and_each_learns_why(bed, authority, tmp_path):
    other = Authority("other")
    refused = {
        "plaintext": (None, "expects TLS and was given no certificate"),
        "other authority": (other.files(tmp_path / "a", CALLER, trusts=authority), "refuses this client's certificate"),
        "expired": (authority.files(tmp_path / "b", CALLER, days=(-3, -2)), "refuses this client's certificate"),
        "not yet": (authority.files(tmp_path / "c", CALLER, days=(1, 2)), "refuses this client's certificate"),
    }
    for case, (tls, told) in refused.items():
        error = await refusal(bed.client(tls))
        assert isinstance(error, Unauthenticated), case
        assert error.reason == "GATEWAY_AUTH", case
        assert told in error.message, case


async def test_a_caller_who_does_not_trust_the_server_hears_of_it(bed, authority, tmp_path):
    distrusts = authority.files(tmp_path / "a", CALLER, trusts=Authority("other"))
    error = await refusal(bed.client(distrusts))
    assert isinstance(error, RouterUnreachable)
    assert "ANTIPHON_TLS_CA_FILE" in error.message
    named = authority.files(tmp_path / "b", CALLER)
    error = await refusal(bed.client(TlsFiles(named.certificate, named.key, named.authorities, "antiphon-openai")))
    assert "for another name" in error.message
    certain = TlsFiles(named.certificate, named.key, named.authorities, "antiphon-router")
    async with bed.client(certain) as client:
        assert (await client.generate("x", model="told/m")).text == "hello"


async def test_tls_to_plaintext_is_one_clear_line(authority, tmp_path):
    async with serve(Told(), ServiceSettings()) as service:
        error = await refusal(AsyncClient(service.address, tls=authority.files(tmp_path / "a", CALLER)))
    assert isinstance(error, RouterUnreachable)
    assert "does not speak TLS" in error.message


async def test_nobody_there_is_no_matter_of_certificates(authority, tmp_path):
    async with serve(Told(), ServiceSettings()) as service:
        address = service.address
    for tls in (None, authority.files(tmp_path / "a", CALLER)):
        error = await refusal(AsyncClient(address, tls=tls))
        assert isinstance(error, RouterUnreachable)
        assert error.message == f"no connection to {address}"


async def test_files_that_cannot_be_used_are_told_before_the_first_call(authority, tmp_path):
    files = authority.files(tmp_path / "a", CALLER)
    os.unlink(files.key)
    with pytest.raises(Unauthenticated, match=r"tls\.key: cannot be read"):
        async with AsyncClient("127.0.0.1:1", tls=files):
            pass


async def test_identities_are_looked_at_per_port(authority, tmp_path):
    provider, router = (authority.files(tmp_path / name, id) for name, id in (("p", PROVIDER), ("r", ROUTER)))
    caller = authority.files(tmp_path / "c", CALLER, dns=())
    operator = authority.files(tmp_path / "o", "spiffe://antiphon/operator", dns=())
    peers = {"router_peers": (CALLER,), "admin_peers": ("spiffe://antiphon/operator",)}
    async with suite(provider, router, caller, **peers) as bed:
        await bed.until_serving()
        error = await refusal(bed.client(operator))
        assert isinstance(error, Unauthenticated)
        assert "spiffe://antiphon/operator" in error.message
        async with AdminClient(bed.running.admin.address, tls=operator) as admin:
            assert await admin.backends()
        with pytest.raises(Unauthenticated, match=CALLER):
            async with AdminClient(bed.running.admin.address, tls=caller) as admin:
                await admin.backends()


async def test_what_a_caller_may_take_is_counted_by_its_certificate(authority, tmp_path):
    files = [
        authority.files(tmp_path / identity.rpartition("/")[2], identity, dns=("antiphon",))
        for identity in (PROVIDER, ROUTER, CALLER, "spiffe://antiphon/other")
    ]
    limits = suite_pb2.Limits(callers=[{"caller": CALLER, "requests_per_minute": 1}])
    async with suite(*files[:3], limits=limits) as bed:
        await replace(bed, caller=files[3]).until_serving()
        async with bed.client(files[3]) as other, bed.client(files[2]) as caller:
            for _ in range(3):
                assert (await other.generate("x", model="told/m")).text == "hello"
            assert (await caller.generate("x", model="told/m")).text == "hello"
            with pytest.raises(RateLimited, match=CALLER):
                await caller.generate("x", model="told/m")


async def test_a_provider_that_refuses_the_router_is_out_with_the_reason(authority, tmp_path):
    provider, caller = (authority.files(tmp_path / name, id) for name, id in (("p", PROVIDER), ("c", CALLER)))
    expired = authority.files(tmp_path / "r", ROUTER)
    async with suite(provider, expired, caller) as bed:
        await bed.until_serving()
    strange = Authority("other")
    router = strange.files(tmp_path / "r", ROUTER, trusts=authority)
    write(router, *strange.issue(ROUTER), authority.pem + strange.pem)
    caller = strange.files(tmp_path / "s", CALLER)
    async with suite(provider, router, caller) as bed, AdminClient(bed.running.admin.address, tls=caller) as admin:
        while not (error := (await replica(admin)).last_error.message):  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(0.05)
    assert "refuses this client's certificate" in error


@pytest.fixture
def channels(monkeypatch) -> list[RotatingChannel]:
    """All that are opened in the test, which look at their files often."""
    monkeypatch.setattr(rotating_channel, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(router_channels, "LOOK_EVERY_S", 0.05)
    opened: list[RotatingChannel] = []
    open_one = RotatingChannel.__init__

    def noted(self, *given, **more):
        opened.append(self)
        open_one(self, *given, **more)

    monkeypatch.setattr(RotatingChannel, "__init__", noted)
    return opened


async def test_rotation_of_authority_and_leaves_under_load_fails_nobody(channels, bed, authority, tmp_path):
    """Five times over: trust the next authority beside this one, show certificates of it, forget this one."""
    answered, over = [], asyncio.Event()

    async def load(client) -> None:
        while not over.is_set():
            answered.append((await client.generate("x", model="told/m")).text)
            await asyncio.sleep(0.005)

    parties = ((bed.provider, PROVIDER), (bed.router, ROUTER), (bed.caller, CALLER))
    channels[:] = [channel for channel in channels if channel._address != bed.address]  # the router's
    async with bed.client(bed.caller) as client, client.stream("x", model="told/slow") as stream:
        assert await stream.next_events()
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(load(client))
            for _ in range(5):
                authority = await rotate(parties, authority, channels)
            over.set()
        assert all(channel.moves >= 15 for channel in channels)
        assert len(channels) == 2
        assert [channel.open_channels for channel in channels] == [2, 2]  # the stream stayed where it began
        bed.told.release.set()
        assert (await stream.response()).text == "hello"
    assert len(answered) > 50
    assert set(answered) == {"hello"}
    async with AdminClient(bed.running.admin.address, tls=bed.caller) as admin:
        target = await replica(admin)
    # It was never out; a slow start is what it may have had in the beginning.
    assert target.state in (health_pb2.HEALTH_STATE_HEALTHY, health_pb2.HEALTH_STATE_SLOW_START)
    assert not target.last_error.message
    # Whoever has nothing but the first authority is a stranger now.
    old = Authority("first")
    assert isinstance(await refusal(bed.client(old.files(tmp_path / "old", CALLER, trusts=authority))), Unauthenticated)


async def rotate(parties, now: Authority, channels: list[RotatingChannel]) -> Authority:
    following = Authority("next")
    for signs, trusted in ((now, (now, following)), (following, (now, following)), (following, (following,))):
        for files, identity in parties:
            write(files, *signs.issue(identity), "".join(each.pem for each in trusted))
        while not all(up_to_date(channel) for channel in channels):  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(0.02)
    return following


def up_to_date(channel: RotatingChannel) -> bool:
    """Whether new calls show what is in the files."""
    return channel._line.pems == channel._live.files.read()


async def test_the_launcher_sees_health_over_tls(bed):
    async with contextlib.aclosing(watch(bed.address, bed.router)) as states:
        assert await anext(states)


@pytest.mark.parametrize(
    ("program", "setting"),
    [
        ("antiphon_router", "ANTIPHON_LISTEN"),
        ("antiphon_router", "ANTIPHON_ADMIN_LISTEN"),
        ("antiphon_provider_openai", "ANTIPHON_LISTEN"),
    ],
)
async def test_nothing_listens_in_plaintext_beyond_loopback_unasked(tmp_path, program, setting):
    routes = tmp_path / "routes.yaml"
    routes.write_text("backends:\n- {id: b, provider: openai, addresses: ['127.0.0.1:1']}\n")
    env = {"PATH": os.defpath, "ANTIPHON_CONFIG": str(routes), "OPENAI_API_KEY": "k"}
    env |= {"ANTIPHON_LISTEN": "127.0.0.1:0", "ANTIPHON_ADMIN_LISTEN": "127.0.0.1:0", setting: "0.0.0.0:0"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", program, env=env, stderr=pipe)
    told = (await process.communicate())[1].decode().strip().splitlines()[-1]
    assert process.returncode == 78
    assert told.startswith(f"{setting}='0.0.0.0:0': ")
    assert "ANTIPHON_TLS_CERT_FILE" in told
    assert "ANTIPHON_INSECURE=true" in told
