"""Owns the EndpointSlices of a Kubernetes service: a list, then a watch from there on, again and again.

    list ─ resourceVersion ─> watch ── event, bookmark ──> watch on        410 Gone, anything lost ── wait ──> list

In: endpoints that are ready (not told: ready) and not terminating. One that terminates leaves and drains. What was
known last counts while the API server cannot be asked. The token and the CA are read again for every use: both are
rotated under a running process.

Forbids itself: writing anything, and any resource but EndpointSlices.
"""

import asyncio
import json
import logging
import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

log = logging.getLogger(__name__)

WATCH_S: Final = 60
"""How long one watch lasts; a dead connection is found at its end at the latest."""

FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 30.0
CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
PAGE: Final = 500
_LONGEST_LINE: Final = 8 << 20
_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_BY_SERVICE: Final = "kubernetes.io/service-name"
_GONE: Final = 410

Json = Mapping[str, Any]


class Gone(Exception):
    """The version to watch from is too old; list again."""


class Cluster:
    """The API server at `url` ("https://10.0.0.1:443"), as seen by the service account in `account`."""

    def __init__(self, url: str, account: str = _ACCOUNT) -> None:
        self.url = url
        self._account = Path(account)

    def session(self) -> aiohttp.ClientSession:
        """A session that trusts the cluster's CA as it is now. Raises OSError without one."""
        # Not the system's CAs: nobody else is to speak for the API server.
        tls = ssl.create_default_context(cafile=str(self._account / "ca.crt")) if self.url.startswith("https") else None
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls if tls is not None else True),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=ANSWER_S),
            read_bufsize=_LONGEST_LINE // 2,
            trust_env=False,
        )

    def headers(self) -> dict[str, str]:
        """What every request carries. Raises OSError without a token."""
        token = (self._account / "token").read_text().strip()
        return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


class EndpointSlices:
    """The source behind "namespace/service:port"; the port is one of the pods', by number or by name."""

    def __init__(self, cluster: Cluster, service: str) -> None:
        place, _, self._port = service.rpartition(":")
        namespace, _, name = place.partition("/")
        self._cluster = cluster
        self._name = service
        self._url = f"{cluster.url}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._query = {"labelSelector": f"{_BY_SERVICE}={name}"}
        self._slices: dict[str, Sequence[str]] | None = None

    async def addresses(self) -> Sequence[str]:
        """What was told last. Raises OSError before the first list."""
        if self._slices is None:
            raise OSError("nothing is known yet")
        return sorted({address for known in self._slices.values() for address in known})

    async def follow(self, changed: Callable[[], None]) -> None:
        """List and watch for ever; ends by cancellation only."""
        retry_s, lost = FIRST_RETRY_S, False
        while True:
            try:
                async with self._cluster.session() as session:
                    version = await self._list(session)
                    changed()
                    if lost:
                        log.info("endpoints_known_again", extra={"service": self._name})
                    retry_s, lost = FIRST_RETRY_S, False
                    while True:
                        version = await self._watch(session, version, changed)
            except Gone:
                log.info("endpoints_listed_again", extra={"service": self._name})
            except (aiohttp.ClientError, OSError, ValueError, TypeError, KeyError) as error:
                if not lost:
                    lost = True
                    log.warning("endpoints_unknown", extra={"service": self._name, "error": _kind(error)})
            await asyncio.sleep(retry_s * random.uniform(0.8, 1.2))  # noqa: S311 - it only spreads load
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    async def _list(self, session: aiohttp.ClientSession) -> str:
        """Take all slices there are; the version to watch from."""
        found: dict[str, Sequence[str]] = {}
        query = {**self._query, "limit": str(PAGE)}
        while True:
            async with session.get(self._url, params=query, headers=self._cluster.headers()) as response:
                _check(response)
                page = json.loads(await response.read())
            found |= {each["metadata"]["name"]: addresses_of(each, self._port) for each in page.get("items") or ()}
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                self._slices = found
                return str(page["metadata"]["resourceVersion"])

    async def _watch(self, session: aiohttp.ClientSession, version: str, changed: Callable[[], None]) -> str:
        """Take what happens after `version` until the server ends the watch; the version to go on from."""
        query = {**self._query, "watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query["timeoutSeconds"] = str(WATCH_S)
        limit = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=WATCH_S + ANSWER_S)
        async with session.get(self._url, params=query, headers=self._cluster.headers(), timeout=limit) as response:
            _check(response)
            async for line in response.content:
                event = json.loads(line)
                told: Json = event["object"]
                if event["type"] == "ERROR":
                    raise Gone if told.get("code") == _GONE else ValueError(told.get("reason"))
                version = str(told["metadata"]["resourceVersion"])
                if self._take(event["type"], told):
                    changed()
        return version

    def _take(self, kind: str, told: Json) -> bool:
        """Whether anything is different after this event."""
        if kind == "BOOKMARK" or self._slices is None:
            return False
        name = told["metadata"]["name"]
        before = self._slices.pop(name, ())
        if kind != "DELETED":
            self._slices[name] = addresses_of(told, self._port)
        return before != self._slices.get(name, ())


def addresses_of(told: Json, port: str) -> Sequence[str]:
    """The addresses of the endpoints of one slice that take calls. None if it has no such port.

    A slice without any ports belongs to a headless service that names none; there a number is taken as it is.
    """
    ports = told.get("ports") or ()
    numbers = {str(each.get("port")) for each in ports if port in (each.get("name"), str(each.get("port")))}
    if not ports and port.isdigit():
        numbers = {port}
    hosts = [
        host for endpoint in told.get("endpoints") or () if _takes_calls(endpoint) for host in endpoint["addresses"]
    ]
    if told.get("addressType") == "IPv6":
        hosts = [f"[{host}]" for host in hosts]
    return [f"{host}:{number}" for host in hosts for number in sorted(numbers)]


def _takes_calls(endpoint: Json) -> bool:
    conditions = endpoint.get("conditions") or {}
    return conditions.get("ready") is not False and conditions.get("terminating") is not True


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status == _GONE:
        raise Gone
    if response.status != 200:
        raise ValueError(f"HTTP {response.status}")


def _kind(error: Exception) -> str:
    """What went wrong, without addresses and tokens. Ours alone has a text."""
    return str(error) if isinstance(error, ValueError) and str(error).startswith("HTTP ") else type(error).__name__
