"""Owns the goal about certificates: who is let in, and what calls notice of a rotation."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any, Final

import grpc

from antiphon_client import AsyncClient, Unauthenticated
from antiphon_contract.rotating_channel import RotatingChannel
from antiphon_contract.tls import SERVER_NAME, LivePems
from antiphon_harness import checker
from antiphon_harness.bed import MODEL
from antiphon_harness.certificates import IDENTITY, Authority, Party, der, shown
from antiphon_harness.goal import Bound, Figures, Goal
from antiphon_harness.loadgen import OPTIONS, UNARY, Ask, Client, Shot
from antiphon_harness.suite import free_port
from antiphon_harness.vault_bed import VAULTED, VaultBed, until_so

_CLIENT: Final[Any] = OPTIONS
_SPREAD_S: Final = 2.5
"""Processes look at their files once a second."""


class _Secured:
    """Two providers and a router over mutual TLS, and a client of theirs."""

    def __init__(self, bed: VaultBed) -> None:
        self._bed = bed
        directory = bed.suite.scratch / f"tls-{bed.slot[-1]}"
        self.providers = [Party(directory, f"provider-{number}", server=True) for number in range(2)]
        self.router = Party(directory, "router", server=True)
        self.caller = Party(directory, "caller", server=False)
        self.directory = directory
        self.address = ""
        self.servers: dict[str, Party] = {}

    @property
    def parties(self) -> list[Party]:
        return [*self.providers, self.router, self.caller]

    async def start(self, authority: Authority) -> None:
        """Everybody trusts and shows the same authority."""
        for party in self.parties:
            party.trust(authority)
            await party.show(authority)
        bed, addresses = self._bed, []
        for party in self.providers:
            peers = {"ANTIPHON_TLS_PEERS": f"{IDENTITY}router", **party.settings}
            process = await bed.suite.openai(f"tls-{party.name}", "sk-harness-tls", bed.upstream.base_url, peers)
            bed.suite.callback(process.end)
            addresses.append(process.address)
            self.servers[process.address] = party
        rows = [{"id": "secured", "provider": "openai", "addresses": addresses}]
        peers = {"ANTIPHON_TLS_PEERS": f"{IDENTITY}caller", **self.router.settings}
        router = await bed.suite.router({"backends": rows}, peers)
        self.address = router.address
        self.servers[self.address] = self.router

    def channel(self) -> RotatingChannel:
        """A channel of the caller's, as our clients have them."""
        return RotatingChannel(self.address, LivePems(self.caller.files), _CLIENT)


async def secured(bed: VaultBed) -> Figures:
    """Those who may not, one kind after the other; then new authorities and leaves for everybody under load."""
    authority = await Authority.made(bed.store, "pki-0")
    suite = _Secured(bed)
    await suite.start(authority)
    channels = [suite.channel() for _ in range(2)]
    client = Client(channels)  # type: ignore[arg-type]
    try:

        async def served() -> bool:
            return (await client.shoot(Ask(model=MODEL, timeout_s=10.0))).ok

        began = await until_so(served, 30.0)
        refusals = await _strangers(bed, suite, authority)
        spread_s: list[float] = []
        shots: list[Shot] = []
        rotations = bed.count(5, 2)
        over = asyncio.Event()

        async with asyncio.TaskGroup() as tasks:
            firing = tasks.create_task(_load(client, bed.rate, over))
            for number in range(1, rotations + 1):
                authority = await _rotate(bed, suite, authority, number, spread_s)
            await asyncio.sleep(1.0)
            over.set()
        shots += firing.result()
        moves = min(channel.moves for channel in channels)
    finally:
        for channel in channels:
            await channel.close()
    bed.keep(shots)
    return {
        **refusals,
        "rotations": rotations,
        "calls": len(shots),
        "failed": len(checker.failed(shots)),
        "seconds until servers show a new certificate": max(spread_s),
        "rotations that the client's channels did not follow": max(0, rotations - moves),
        "served at all": float(began != float("inf")),
        "programs that listen beyond loopback in plaintext": await _plaintext_beyond(bed),
    }


async def _load(client: Client, rate: float, over: asyncio.Event) -> list[Shot]:
    def asks() -> Any:
        number = 0
        while not over.is_set():
            number += 1
            yield Ask(model=MODEL, streamed=number % 2 == 0)

    return await client.mix(asks(), rate=rate)


async def _rotate(bed: VaultBed, suite: _Secured, now: Authority, number: int, spread_s: list[float]) -> Authority:
    """Trust both, show the next one, trust the next one only."""
    following = await Authority.made(bed.store, f"pki-{number}")
    for party in suite.parties:
        party.trust(now, following)
    await asyncio.sleep(_SPREAD_S)
    for party in suite.parties:
        await party.show(following)
    shown_at = time.monotonic()
    for address, party in suite.servers.items():
        caller = suite.caller

        async def fresh(address: str = address, party: Party = party, caller: Party = caller) -> bool:
            return await shown(address, caller, (now, following)) == der(party)

        spread_s.append(await until_so(fresh, 30.0, 0.2) - shown_at)
    await asyncio.sleep(_SPREAD_S)
    for party in suite.parties:
        party.trust(following)
    await asyncio.sleep(_SPREAD_S)
    return following


async def _strangers(bed: VaultBed, suite: _Secured, authority: Authority) -> Figures:
    other = await Authority.made(bed.store, "pki-other")
    parties = {name: Party(suite.directory / name, "caller", server=False) for name in ("other", "expired")}
    parties["identity"] = Party(suite.directory, "somebody", server=False)
    for name, party in parties.items():
        party.trust(authority)
        await party.show(other if name == "other" else authority, ttl="1s" if name == "expired" else "1h")
    await asyncio.sleep(2.5)
    each = bed.count(100, 4)
    codes: Counter[str] = Counter()
    told = 0
    for name, credentials in _credentials(parties, authority).items():
        for _ in range(each):
            codes[await _try(suite.address, credentials)] += 1
        files = parties[name].files if name in parties else None
        if name == "no certificate":
            continue  # our client cannot even be set up so: files come all or none
        try:
            async with AsyncClient(suite.address, tls=files, timeout_s=10) as client:
                await client.generate("x", model=MODEL)
        except Unauthenticated:
            told += 1
    # Whoever calls past the router: the providers take the router only.
    provider = next(address for address, party in suite.servers.items() if party in suite.providers)
    past = await _try(provider, LivePems(suite.caller.files).pems.channel_credentials())
    return {
        "strangers": sum(codes.values()) + 1,
        "strangers let in": codes["OK"] + (past == "OK"),
        "kinds of strangers whom our client does not tell UNAUTHENTICATED": len(parties) + 1 - told,
    }


def _credentials(parties: dict[str, Party], authority: Authority) -> dict[str, grpc.ChannelCredentials | None]:
    found: dict[str, grpc.ChannelCredentials | None] = {
        name: LivePems(party.files).pems.channel_credentials() for name, party in parties.items()
    }
    found["no certificate"] = grpc.ssl_channel_credentials(authority.pem.encode())
    found["plaintext"] = None
    return found


async def _try(address: str, credentials: grpc.ChannelCredentials | None) -> str:
    options = (*_CLIENT, ("grpc.ssl_target_name_override", SERVER_NAME))
    if credentials is None:
        channel = grpc.aio.insecure_channel(address, options=_CLIENT)
    else:
        channel = grpc.aio.secure_channel(address, credentials, options=options)
    async with channel:
        try:
            method: Any = channel.unary_unary(UNARY)
            await method(b"", timeout=5.0)
        except grpc.aio.AioRpcError as error:
            refused = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED)
            return error.code().name if refused else "OK"  # an answer about the request is an answer
    return "OK"


async def _plaintext_beyond(bed: VaultBed) -> float:
    """Programs that do not end with 78 when told to listen everywhere without certificates."""
    routes = bed.suite.scratch / "beyond.yaml"
    routes.write_text("backends:\n- {id: b, provider: openai, addresses: ['127.0.0.1:1']}\n", encoding="ascii")
    common = {
        "PATH": os.defpath,
        "ANTIPHON_CONFIG": str(routes),
        "OPENAI_API_KEY": "k",
        "ANTIPHON_LISTEN": "127.0.0.1:0",
    }
    common |= {"ANTIPHON_ADMIN_LISTEN": f"127.0.0.1:{free_port()}", **await bed.store.login("coordinator", "beyond")}
    cases = [
        ("antiphon_router", "ANTIPHON_LISTEN"),
        ("antiphon_router", "ANTIPHON_ADMIN_LISTEN"),
        ("antiphon_provider_openai", "ANTIPHON_LISTEN"),
        ("antiphon_keys", "ANTIPHON_LISTEN"),
    ]
    stayed = 0
    for program, setting in cases:
        command = [sys.executable, "-m", program]
        try:
            run = asyncio.to_thread(
                subprocess.run,
                command,
                env={**common, setting: "0.0.0.0:0"},
                capture_output=True,
                check=False,
                timeout=40,
            )
            stayed += (await run).returncode != 78
        except subprocess.TimeoutExpired:
            stayed += 1
    return float(stayed)


G25: Final = Goal(
    id="G25",
    title="mutual TLS: strangers are refused, and new certificates of everybody fail no call",
    backends=VAULTED,
    bed=VaultBed,
    bounds=(
        Bound("strangers", least=500, full_only=True),
        Bound("strangers let in", most=0),
        Bound("kinds of strangers whom our client does not tell UNAUTHENTICATED", most=0),
        Bound("rotations", least=5, full_only=True),
        Bound("failed", most=0),
        Bound("seconds until servers show a new certificate", most=30.0),
        Bound("rotations that the client's channels did not follow", most=0),
        Bound("served at all", least=1),
        Bound("programs that listen beyond loopback in plaintext", most=0),
    ),
    run=secured,
)
