"""EndpointSlices, against an API server that speaks the real protocol over HTTP(S) from a script of the test.

No Kubernetes runs here. What the server sends is what the API documents: lists in pages, watches as JSON lines,
bookmarks, and 410 Gone both as an answer and as an event.
"""

import asyncio
import contextlib
import json
import ssl
from dataclasses import dataclass, field

import pytest
import trustme
from aiohttp import web

from antiphon_router.shell import kubernetes
from antiphon_router.shell.kubernetes import Cluster, EndpointSlices, addresses_of

PATH = "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices"


def endpoint(host: str, **conditions: bool) -> dict:
    return {"addresses": [host], "conditions": conditions}


def piece(name: str, *endpoints: dict, version: int = 1, ports=({"name": "grpc", "port": 50061},), kind="IPv4") -> dict:
    metadata = {"name": name, "resourceVersion": str(version)}
    return {"metadata": metadata, "addressType": kind, "ports": list(ports), "endpoints": list(endpoints)}


@dataclass
class ApiServer:
    """Lists `slices`, and sends to its one watch what `send` is given. `refuse`: HTTP status of every answer."""

    slices: dict[str, dict] = field(default_factory=dict)
    version: int = 10
    refuse: int = 0
    page: int = 500
    seen: list[dict] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    watching: asyncio.Event = field(default_factory=asyncio.Event)
    events: asyncio.Queue = field(default_factory=asyncio.Queue)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.seen.append(query)
        self.tokens.append(request.headers["Authorization"])
        if self.refuse:
            return web.json_response({"kind": "Status", "code": self.refuse}, status=self.refuse)
        if "watch" not in query:
            return self._list(query)
        response = web.StreamResponse()
        await response.prepare(request)
        self.watching.set()
        while (event := await self.events.get()) is not None:
            await response.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
        self.watching.clear()
        return response

    def _list(self, query: dict) -> web.Response:
        start = int(query.get("continue") or 0)
        names = sorted(self.slices)[start : start + self.page]
        more = str(start + self.page) if start + self.page < len(self.slices) else ""
        metadata = {"resourceVersion": str(self.version), "continue": more}
        return web.json_response({"metadata": metadata, "items": [self.slices[name] for name in names]})

    async def asked(self, times: int) -> None:
        """Wait until it was asked that many times in all."""
        async with asyncio.timeout(5):
            while len(self.seen) < times:  # noqa: ASYNC110 - plain state of the server
                await asyncio.sleep(0.005)

    def send(self, kind: str, told: dict) -> None:
        self.events.put_nowait({"type": kind, "object": told})

    @contextlib.asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None):
        application = web.Application()
        application.router.add_get(PATH, self.answer)
        runner = web.AppRunner(application, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            self.events.put_nowait(None)
            await runner.cleanup()


class Followed:
    """A source that is followed; `until` waits for a change."""

    def __init__(self, source: EndpointSlices) -> None:
        self.source = source
        self.changes = 0
        self._changed = asyncio.Event()

    def changed(self) -> None:
        self.changes += 1
        self._changed.set()

    async def until(self, *wanted: str) -> None:
        async with asyncio.timeout(5):
            while True:
                self._changed.clear()
                with contextlib.suppress(OSError):
                    if list(await self.source.addresses()) == list(wanted):
                        return
                await self._changed.wait()


@pytest.fixture
def account(tmp_path):
    (tmp_path / "token").write_text("first\n")
    return tmp_path


@contextlib.asynccontextmanager
async def following(server: ApiServer, account, port: str = "grpc"):
    async with server.serving() as url:
        followed = Followed(EndpointSlices(Cluster(url, str(account)), f"ns/svc:{port}"))
        task = asyncio.create_task(followed.source.follow(followed.changed))
        try:
            yield followed
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(kubernetes, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(kubernetes, "LAST_RETRY_S", 0.02)


async def test_a_list_then_events_from_its_version_on(account):
    server = ApiServer({"a": piece("a", endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", ready=False))})
    async with following(server, account) as followed:
        await followed.until("10.0.0.1:50061")
        await server.watching.wait()
        server.send("ADDED", piece("b", endpoint("10.0.0.3"), version=11))
        await followed.until("10.0.0.1:50061", "10.0.0.3:50061")
        server.send("MODIFIED", piece("a", endpoint("10.0.0.2", ready=True), version=12))
        await followed.until("10.0.0.2:50061", "10.0.0.3:50061")
        server.send("DELETED", piece("b", version=13))
        await followed.until("10.0.0.2:50061")
    listed, watched = server.seen
    assert listed["labelSelector"] == watched["labelSelector"] == "kubernetes.io/service-name=svc"
    assert (watched["resourceVersion"], watched["allowWatchBookmarks"], watched["timeoutSeconds"]) == (
        "10",
        "true",
        "60",
    )


async def test_an_endpoint_that_terminates_leaves(account):
    server = ApiServer({"a": piece("a", endpoint("10.0.0.1", ready=True))})
    async with following(server, account) as followed:
        await followed.until("10.0.0.1:50061")
        await server.watching.wait()
        leaving = endpoint("10.0.0.1", ready=True, serving=True, terminating=True)
        server.send("MODIFIED", piece("a", leaving, endpoint("10.0.0.2"), version=11))
        await followed.until("10.0.0.2:50061")


async def test_what_changes_nothing_wakes_nobody(account):
    server = ApiServer({"a": piece("a", endpoint("10.0.0.1"))})
    async with following(server, account) as followed:
        await followed.until("10.0.0.1:50061")
        await server.watching.wait()
        changes = followed.changes
        server.send("MODIFIED", piece("a", endpoint("10.0.0.1", ready=True), version=11))
        server.send("BOOKMARK", {"metadata": {"resourceVersion": "12"}})
        server.send("ADDED", piece("b", endpoint("10.0.0.2"), version=13))
        await followed.until("10.0.0.1:50061", "10.0.0.2:50061")
        assert followed.changes == changes + 1


async def test_a_watch_that_ends_goes_on_from_the_last_version_a_bookmark_included(account):
    server = ApiServer({"a": piece("a", endpoint("10.0.0.1"))})
    async with following(server, account):
        await server.watching.wait()
        server.send("BOOKMARK", {"metadata": {"resourceVersion": "99"}})
        server.events.put_nowait(None)
        await server.asked(3)
    assert server.seen[2]["resourceVersion"] == "99"
    assert "watch" in server.seen[2]


@pytest.mark.parametrize("how", ["event", "answer"])
async def test_a_version_that_is_gone_is_listed_anew(account, how):
    server = ApiServer({"a": piece("a", endpoint("10.0.0.1"))})
    async with following(server, account) as followed:
        await followed.until("10.0.0.1:50061")
        await server.watching.wait()
        server.slices = {"c": piece("c", endpoint("10.0.0.9"))}
        if how == "event":
            server.send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
        else:
            server.refuse = 410
            server.events.put_nowait(None)
            await server.asked(len(server.seen) + 1)
            server.refuse = 0
        server.events.put_nowait(None)
        await followed.until("10.0.0.9:50061")


async def test_a_list_comes_in_pages(account):
    slices = {f"s{n}": piece(f"s{n}", endpoint(f"10.0.0.{n}")) for n in range(5)}
    async with following(ApiServer(slices, page=2), account) as followed:
        await followed.until(*(f"10.0.0.{n}:50061" for n in range(5)))


@pytest.mark.parametrize(
    "broken", [b"not json\n", b'{"type": "ADDED"}\n', b'{"type": "ERROR", "object": {"code": 500}}\n']
)
async def test_what_is_known_counts_while_the_server_is_in_trouble(account, caplog, broken):
    server = ApiServer({"a": piece("a", endpoint("10.0.0.1"))})
    async with following(server, account) as followed:
        await followed.until("10.0.0.1:50061")
        await server.watching.wait()
        server.refuse = 503
        server.events.put_nowait(broken)
        server.events.put_nowait(None)
        await server.asked(6)
        assert list(await followed.source.addresses()) == ["10.0.0.1:50061"]
        server.slices["b"] = piece("b", endpoint("10.0.0.2"))
        server.refuse = 0
        await followed.until("10.0.0.1:50061", "10.0.0.2:50061")
    assert [r.message for r in caplog.records].count("endpoints_unknown") == 1, "one alarm per outage"


async def test_nothing_is_known_before_the_first_list(account):
    server = ApiServer(refuse=403)
    async with following(server, account) as followed:
        async with asyncio.timeout(5):
            while len(server.seen) < 2:  # noqa: ASYNC110 - plain state of the server
                await asyncio.sleep(0.005)
        with pytest.raises(OSError, match="nothing is known yet"):
            await followed.source.addresses()


async def test_the_token_is_read_again(account):
    server = ApiServer({"a": piece("a", endpoint("10.0.0.1"))})
    async with following(server, account):
        await server.watching.wait()
        (account / "token").write_text("second")
        server.events.put_nowait(None)
        async with asyncio.timeout(5):
            while len(server.tokens) < 3:  # noqa: ASYNC110 - plain state of the server
                await asyncio.sleep(0.005)
    assert server.tokens[0] == "Bearer first"
    assert server.tokens[-1] == "Bearer second"


async def test_a_missing_account_is_an_outage_and_not_the_end(tmp_path, caplog):
    server = ApiServer({"a": piece("a", endpoint("10.0.0.1"))})
    async with following(server, tmp_path) as followed:
        await asyncio.sleep(0.05)
        (tmp_path / "token").write_text("late")
        await followed.until("10.0.0.1:50061")
    assert "FileNotFoundError" in {getattr(r, "error", "") for r in caplog.records}


async def test_only_the_clusters_ca_is_trusted(tmp_path):
    ca, stranger = trustme.CA(), trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    (tmp_path / "token").write_text("t")
    server = ApiServer({"a": piece("a", endpoint("10.0.0.1"))})
    async with server.serving(tls) as url:
        followed = Followed(EndpointSlices(Cluster(url, str(tmp_path)), "ns/svc:grpc"))
        stranger.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
        task = asyncio.create_task(followed.source.follow(followed.changed))
        await asyncio.sleep(0.2)
        assert not server.seen
        ca.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
        await followed.until("10.0.0.1:50061")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("told", "port", "wanted"),
    [
        (piece("a", endpoint("10.0.0.1")), "grpc", ["10.0.0.1:50061"]),
        (piece("a", endpoint("10.0.0.1")), "50061", ["10.0.0.1:50061"]),
        (piece("a", endpoint("10.0.0.1")), "http", []),
        (piece("a", endpoint("10.0.0.1")), "80", []),
        (piece("a", endpoint("10.0.0.1"), ports=()), "80", ["10.0.0.1:80"]),
        (piece("a", endpoint("10.0.0.1"), ports=()), "grpc", []),
        (piece("a", endpoint("fd00::1"), kind="IPv6"), "grpc", ["[fd00::1]:50061"]),
        (piece("a", {"addresses": ["10.0.0.1"]}), "grpc", ["10.0.0.1:50061"]),
        ({"metadata": {}, "endpoints": None, "ports": None}, "80", []),
    ],
)
def test_addresses_of_a_slice(told, port, wanted):
    assert addresses_of(told, port) == wanted
