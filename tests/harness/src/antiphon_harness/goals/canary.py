"""Owns the goal that secrets are nowhere but where they belong, whatever fails: planted ones are sought."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import hvac

from antiphon_conformance.canary import forms, search
from antiphon_harness.bed import CALM, MODEL
from antiphon_harness.collector import Collector
from antiphon_harness.fakellm.script import Rule, Script
from antiphon_harness.goal import Bound, Figures, Goal
from antiphon_harness.key_watch import KeyWatch, asked
from antiphon_harness.loadgen import Ask
from antiphon_harness.processes import HarnessError, Process
from antiphon_harness.secret_store import MOUNT, PREFIX
from antiphon_harness.vault_bed import VAULTED, VaultBed

_CALLER: Final = "sk-caller/9d17+canary-of-a-caller=="
_TOKEN: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLW9mLWEtY2FsbGVy"
_LEAST_TRACES: Final = 10_000


async def canary(bed: VaultBed) -> Figures:
    """Failing calls of every kind at debug level, a bad key, a sealed store; then a search of all that was said."""
    async with Collector() as collector:
        told = {
            "ANTIPHON_LOG_LEVEL": "debug",
            "GRPC_VERBOSITY": "debug",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }
        router = await bed.start_anew(told, router_env=told)
        planted = await _planted(bed)
        said: dict[str, bytes] = {}
        async with bed.coordinator(env=told) as coordinator:
            calls = await _calls(bed, router.address, planted, said)
            await _troubles(bed, planted)
            said["antiphon keys"] = (await coordinator.shown()).encode()
            for process in (*bed.processes, router.process, coordinator.process):
                said |= _of_process(process)
            for process in bed.processes:
                use = await asked(process.address)
                said[f"keys of {process.name}"] = use.SerializeToString()
            await asyncio.sleep(2.0)
            cores = await _aborted(bed.processes[0])
            ending = (*bed.processes[1:], router.process, coordinator.process)
            for process in ending:
                await process.stop()
        for process in (*bed.processes, router.process, coordinator.process):
            said[f"log of {process.name}"] = process.log.read_bytes()
    said |= {kind: b"\n".join(each) for kind, each in collector.taken.items()}
    said["witness"] = b""  # the scripted upstream is told the keys; its log has fingerprints of the harness's own
    if len(said["traces"]) < _LEAST_TRACES:
        raise HarnessError(f"only {len(said['traces'])} bytes of traces came: there was nothing to search")
    hits = [f"{what} in {hit}" for what, secret in planted.items() for hit in search(secret, said)]
    hits += [f"{what} joined: {hit}" for what, secret in planted.items() for hit in search(secret, _joined(said))]
    if hits:
        (bed.suite.scratch / "canary-hits.txt").write_text("\n".join(hits), encoding="utf-8")
    return {
        "planted": len(planted),
        "failing calls": calls,
        "places": len(said),
        "hits": len(hits),
        "core files": cores,
        "forms that the search does not find": sum(
            not search(secret, {"x": b"<" + form + b">"})
            for secret in planted.values()
            for form in forms(secret).values()
        ),
    }


async def _planted(bed: VaultBed) -> dict[str, str]:
    store = bed.store
    found = {
        "key of the provider": bed.key(1),
        "bad key": f"sk-harness-{bed.slot[-1]}/bad+key==",
        "caller's key": _CALLER,
    }
    found["caller's token"] = _TOKEN
    found["fingerprint key"] = await store.ask(_fingerprint_key)
    found |= store.handed_out
    found["unsealing key"] = str(store.server._secrets()["root_token"])
    return {what: secret for what, secret in found.items() if len(secret) >= 12}


def _fingerprint_key(root: hvac.Client) -> str:
    found = root.secrets.kv.v2.read_secret_version(
        f"{PREFIX}/fingerprint", mount_point=MOUNT, raise_on_deleted_version=True
    )
    return str(found["data"]["data"]["value"])


def _failures(key: str) -> list[Script]:
    """Everything an upstream does wrong, with the key in it."""
    text = f"no {key} here"
    error = {"message": text, "code": "invalid_api_key", "type": "error", "param": key}
    refused = [
        Script(status=status, error=error, headers={"x-echo": key, "retry-after": "0.1"})
        for status in (400, 402, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503)
    ]
    broken = [Script(gap_s=0.005, cut_after=3, end=end, error=error) for end in ("fin", "rst", "error", "malformed")]
    return [*refused, *broken]


def _asks(count: int, scripts: int) -> Iterator[Ask]:
    words = (("authorization", f"Bearer {_CALLER}"), ("x-api-key", _CALLER), ("x-token", _TOKEN))
    for number in range(count):
        yield Ask(
            model=f"openai/f{number % scripts}" if number % 9 else MODEL,
            streamed=number % 2 == 0,
            timeout_s=0.02 if number % 31 == 0 else 20.0,
            cancel_after_s=0.01 if number % 37 == 0 else None,
            metadata=(words[number % 3],),
        )


async def _calls(bed: VaultBed, address: str, planted: dict[str, str], said: dict[str, bytes]) -> int:
    scripts = _failures(planted["key of the provider"])
    await bed.upstream.rules(*(Rule(one, model=f"f{number}") for number, one in enumerate(scripts)), Rule(CALM))
    count = bed.count(5_000, 300)
    async with bed.client(address) as client:
        shots = await client.mix(_asks(count, len(scripts)), rate=bed.rate)
    bed.keep(shots)
    said["answers"] = "\n".join(str(shot.as_json()) for shot in shots).encode()
    # And straight at a service, whose answers no router rebuilds.
    async with bed.client(bed.processes[0].address) as client:
        direct = [
            await client.shoot(Ask(model=f"f{number}", streamed=number % 2 == 0)) for number in range(len(scripts))
        ]
    said["answers of a service"] = "\n".join(str(shot.as_json()) for shot in direct).encode()
    return sum(not shot.ok for shot in (*shots, *direct))


async def _troubles(bed: VaultBed, planted: dict[str, str]) -> None:
    """The provider does not know a new key; the store is sealed for a while."""
    await bed.upstream.keys([bed.key(1)])
    version = await bed.store.put(bed.slot, planted["bad key"])
    async with KeyWatch(bed.processes) as watch:
        await watch.until("the bad key was refused", lambda: "rolled_back" in watch.rules(), 60.0)
        assert version > 1
        await asyncio.to_thread(bed.store.server.seal)
        await watch.until("sealed is told", lambda: "sealed" in watch.rules(), 30.0)
        await asyncio.to_thread(bed.store.server.until_ready)


def _of_process(process: Process) -> dict[str, bytes]:
    proc = Path("/proc") / str(process.pid)
    return {f"{name} of {process.name}": (proc / name).read_bytes() for name in ("environ", "cmdline")}


def _cores(process: Process) -> tuple[Path, int]:
    """Where they would be written, and whether they may be."""
    proc = Path("/proc", str(process.pid))
    limits = (proc / "limits").read_text(encoding="ascii").splitlines()
    return (proc / "cwd").resolve(), sum(
        line.split()[4] != "0" for line in limits if line.startswith("Max core file size")
    )


async def _aborted(process: Process) -> int:
    """Core files after an abort."""
    folder, unlimited = _cores(process)
    before = len(list(folder.glob("core*")))
    process.signal(signal.SIGABRT)
    with suppress(HarnessError):
        await process.wait(10.0)
    return len(list(folder.glob("core*"))) - before + unlimited


def _joined(said: dict[str, bytes]) -> dict[str, bytes]:
    """The same without line ends and quotes, so that what was split over two lines is found."""
    return {where: text.replace(b"\n", b"").replace(b"\\", b"") for where, text in said.items()}


G24: Final = Goal(
    id="G24",
    title="planted secrets are looked for in everything that is said while calls fail",
    backends=VAULTED,
    bed=VaultBed,
    bounds=(
        Bound("planted", least=9),
        Bound("failing calls", least=4_000, full_only=True),
        Bound("hits", most=0),
        Bound("core files", most=0),
        Bound("forms that the search does not find", most=0),
    ),
    bare=True,
    run=canary,
)
