"""Who is let in: settings, the rule about plaintext, identities, and a server whose certificates change."""

import asyncio
import contextlib

import grpc
import pytest
from authority import CALLER, PROVIDER, ROUTER, Authority, write
from grpc_health.v1 import health_pb2

from antiphon_contract.errors import Reason, end_from_trailers, from_trailers
from antiphon_contract.rotating_channel import RotatingChannel
from antiphon_contract.tls import LivePems
from antiphon_kit.service import Service
from antiphon_kit.settings import SettingError
from antiphon_kit.tls import Transport, from_files, identities
from antiphon_kit.tls_settings import FILES, TlsSettings, is_loopback
from antiphon_kit.transport import connected

pytestmark = pytest.mark.timeout(30)
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Desk(grpc.GenericRpcHandler):
    """Tells who calls; `wait` until released; streams by both ways there are of writing."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    def service(self, details):
        one, many = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        return {
            "/desk/who": one(self.who),
            "/desk/wait": many(self.wait),
            "/desk/written": many(self.written),
        }.get(details.method)

    async def who(self, request, context):
        return ",".join(identities(context)).encode()

    async def wait(self, request, context):
        yield b"begun"
        await self.release.wait()
        yield b"done"

    async def written(self, request, context):
        await context.write(b"written")


@contextlib.asynccontextmanager
async def serving(transport, listen="127.0.0.1:0"):
    desk = Desk()
    async with Service(listen, (), (desk,), ("desk",), transport=transport) as service:
        yield service, desk


def env(files, **more):
    return dict(zip(FILES, (files.certificate, files.key, files.authorities), strict=True), **more)


def test_nothing_set_is_plaintext_on_loopback():
    assert TlsSettings.from_env({}) == TlsSettings()


@pytest.mark.parametrize("missing", FILES)
def test_files_are_all_set_or_none(missing):
    given = {name: "/x" for name in FILES if name != missing}
    with pytest.raises(SettingError, match=rf"^{missing}='': not set, but ANTIPHON_TLS_") as raised:
        TlsSettings.from_env(given)
    assert raised.value.name == missing


VAULT = {
    "ANTIPHON_TLS_ISSUER": "vault:antiphon-pki/antiphon-openai",
    "ANTIPHON_VAULT_ADDR": "https://vault:8200",
    "ANTIPHON_VAULT_ROLE_ID": "r",
    "ANTIPHON_VAULT_SECRET_ID_FILE": "/keys",
}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"ANTIPHON_TLS_PEERS": ROUTER}, "ANTIPHON_TLS_PEERS"),
        ({**VAULT, "ANTIPHON_TLS_PEERS": "router"}, "ANTIPHON_TLS_PEERS"),
        ({**VAULT, **dict.fromkeys(FILES, "/x")}, "ANTIPHON_TLS_ISSUER"),
        ({**VAULT, "ANTIPHON_TLS_ISSUER": "cert-manager"}, "ANTIPHON_TLS_ISSUER"),
        ({**VAULT, "ANTIPHON_TLS_IDENTITY": "openai"}, "ANTIPHON_TLS_IDENTITY"),
        ({**VAULT, "ANTIPHON_TLS_SERVER_NAME": "a b"}, "ANTIPHON_TLS_SERVER_NAME"),
        ({"ANTIPHON_INSECURE": "perhaps"}, "ANTIPHON_INSECURE"),
    ],
)
def test_what_cannot_be_used_is_named(given, named):
    with pytest.raises(SettingError) as raised:
        TlsSettings.from_env(given)
    assert raised.value.name == named


def test_the_issuer_logs_in_as_for_keys_with_a_secret_id_of_its_own_if_there_is_one():
    first = TlsSettings.from_env(VAULT).issuer
    other = TlsSettings.from_env({**VAULT, "ANTIPHON_TLS_SECRET_ID_FILE": "/certificates"}).issuer
    assert (first.mount, first.role, first.identity) == ("antiphon-pki", "antiphon-openai", PROVIDER)
    assert (first.vault.secret_id_file, other.vault.secret_id_file) == ("/keys", "/certificates")


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.8.0.1:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("router:1", False),
        ("localhost.example:1", False),
    ],
)
def test_what_counts_as_loopback(address, loopback):
    assert is_loopback(address) is loopback


async def test_plaintext_beyond_loopback_is_refused_with_both_remedies():
    with pytest.raises(SettingError, match=r"ANTIPHON_TLS_CERT_FILE.*ANTIPHON_INSECURE=true"):
        async with serving(Transport(), "0.0.0.0:0"):
            pass


async def test_plaintext_beyond_loopback_serves_who_asks_for_it():
    settings = TlsSettings.from_env({"ANTIPHON_INSECURE": "true"})
    async with connected(settings) as transport, serving(transport, "0.0.0.0:0") as (service, _):
        assert service.port


async def test_files_that_cannot_be_used_are_a_wrong_setting(authority, tmp_path):
    files = authority.files(tmp_path / "a", PROVIDER)
    write(files, *authority.issue(PROVIDER), "no authority")
    with pytest.raises(SettingError, match=r"ca\.crt: no certificates.*mend"):
        async with connected(TlsSettings.from_env(env(files))):
            pass


async def ask(service, files, method="/desk/who"):
    channel = RotatingChannel(service.address, LivePems(files), OPTIONS)
    try:
        return await channel.unary_unary(method)(b"", timeout=5)
    finally:
        await channel.close()


@pytest.mark.parametrize("pattern", [ROUTER, "spiffe://antiphon/*", f"{CALLER},{ROUTER}"])
async def test_who_is_among_the_peers_is_let_in(authority, tmp_path, pattern):
    files = authority.files(tmp_path / "provider", PROVIDER)
    settings = TlsSettings.from_env(env(files, ANTIPHON_TLS_PEERS=pattern))
    async with connected(settings) as transport, serving(transport) as (service, _):
        assert await ask(service, authority.files(tmp_path / "router", ROUTER, dns=())) == ROUTER.encode()


@pytest.mark.parametrize("method", ["/desk/who", "/desk/wait", "/desk/written"])
@pytest.mark.parametrize(("ids", "told"), [((CALLER,), CALLER), ((), "no SPIFFE id"), (("https://x/router",), "no SP")])
async def test_who_is_not_gets_a_typed_unauthenticated(authority, tmp_path, method, ids, told):
    transport = Transport(from_files(authority.files(tmp_path / "provider", PROVIDER)), (ROUTER,))
    async with serving(transport) as (service, _):
        channel = RotatingChannel(
            service.address, LivePems(authority.files(tmp_path / "b", *ids, dns=("caller",))), OPTIONS
        )
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await anext(aiter(channel.unary_stream(method)(b"", timeout=5)))
        await channel.close()
    error = from_trailers(tuple(raised.value.trailing_metadata()))
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert error.reason == Reason.ERROR_REASON_GATEWAY_AUTH
    assert told in error.message
    assert end_from_trailers(tuple(raised.value.trailing_metadata())).error.reason == error.reason


async def test_streams_of_peers_pass(authority, tmp_path):
    transport = Transport(from_files(authority.files(tmp_path / "provider", PROVIDER)), (ROUTER,))
    async with serving(transport) as (service, desk):
        desk.release.set()
        channel = RotatingChannel(service.address, LivePems(authority.files(tmp_path / "r", ROUTER)), OPTIONS)
        for method, frames in (("/desk/wait", [b"begun", b"done"]), ("/desk/written", [b"written"])):
            assert [frame async for frame in channel.unary_stream(method)(b"", timeout=5)] == frames
        with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
            await channel.unary_unary("/desk/none")(b"", timeout=5)
        await channel.close()


async def test_health_answers_any_certificate_of_the_authority(authority, tmp_path):
    transport = Transport(from_files(authority.files(tmp_path / "provider", PROVIDER)), (ROUTER,))
    async with serving(transport) as (service, _):
        answer = await ask(service, authority.files(tmp_path / "b", CALLER), "/grpc.health.v1.Health/Check")
    assert health_pb2.HealthCheckResponse.FromString(answer).status


async def test_the_server_shows_new_certificates_at_once_and_old_ones_while_the_new_are_broken(authority, tmp_path):
    files = authority.files(tmp_path / "provider", PROVIDER)
    caller = authority.files(tmp_path / "caller", CALLER)
    async with serving(Transport(from_files(files))) as (service, _):
        assert await ask(service, caller) == CALLER.encode()
        other = Authority("other")
        certificate, key = other.issue(PROVIDER)
        write(files, certificate, "half", other.pem)
        assert await ask(service, caller) == CALLER.encode()
        write(files, certificate, key, other.pem)
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await ask(service, caller)
        assert await ask(service, other.files(tmp_path / "c", CALLER)) == CALLER.encode()
