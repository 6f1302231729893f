"""`keys`: what operators see of versions and processes, and what they are told when an order does not fit."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest

from antiphon.llm.v1 import error_pb2
from antiphon.router.v1 import health_pb2, keys_pb2, keys_pb2_grpc
from antiphon_contract.errors import to_status

SLOT = "openai/default"


class Coordinator(keys_pb2_grpc.KeyAdminServiceServicer):
    """Answers as it is told to; `listings` one after the other, the last one again and again."""

    def __init__(self, *listings: keys_pb2.ListKeyVersionsResponse) -> None:
        self.listings = list(listings)
        self.asked: list[object] = []
        self.refusal: error_pb2.CallError | None = None
        self.address = ""

    async def _answer(self, request, context, answer):
        self.asked.append(request)
        if self.refusal is not None:
            await context.abort_with_status(to_status(self.refusal))
        return answer

    async def ListKeyVersions(self, request, context):
        listing = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
        return await self._answer(request, context, listing)

    async def RotateKey(self, request, context):
        version = keys_pb2.KeyVersion(slot=SLOT, version=2, status="KEY_STATUS_CANDIDATE", share=0.01)
        return await self._answer(request, context, keys_pb2.RotateKeyResponse(version=version))

    async def PromoteKey(self, request, context):
        version = keys_pb2.KeyVersion(slot=SLOT, version=2, status="KEY_STATUS_CURRENT")
        return await self._answer(request, context, keys_pb2.PromoteKeyResponse(version=version))

    async def RevokeKey(self, request, context):
        version = keys_pb2.KeyVersion(slot=SLOT, version=1, status="KEY_STATUS_REVOKED")
        return await self._answer(request, context, keys_pb2.RevokeKeyResponse(version=version))


@asynccontextmanager
async def serving(coordinator: Coordinator) -> AsyncIterator[Coordinator]:
    server = grpc.aio.server()
    keys_pb2_grpc.add_KeyAdminServiceServicer_to_server(coordinator, server)
    coordinator.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield coordinator
    finally:
        await server.stop(None)


def listing(status: str, *, held: str = "", rule: str = "") -> keys_pb2.ListKeyVersionsResponse:
    found = keys_pb2.ListKeyVersionsResponse()
    version = found.versions.add(slot=SLOT, version=2, status=status, share=0.1, fingerprint="abc123")
    version.status_time.FromSeconds(int(time.time()) - 330)
    use = version.uses.add(
        backend="openai-a", instance="i1", slot=SLOT, version=2, fingerprint="abc123", in_flight=3, calls=40,
        status=held or status,
    )  # fmt: skip
    use.load_time.FromSeconds(int(time.time()) - 60)
    use.last_success_time.FromSeconds(int(time.time()) - 3 * 3600)
    use.staleness.FromSeconds(4)
    target = use.targets.add(scope=health_pb2.SCOPE_KEY, state=health_pb2.HEALTH_STATE_DISABLED)
    target.reason = health_pb2.HEALTH_REASON_AUTH
    found.versions.add(slot=SLOT, version=1)
    if rule:
        found.problems.add(slot=SLOT, version=2, rule=rule, message="it was refused; write a good one")
    return found


def row(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.strip().startswith(start)).split("  ")


async def test_versions_and_the_processes_that_hold_them(antiphon: Callable) -> None:
    async with serving(Coordinator(listing("KEY_STATUS_CANDIDATE", rule="rolled_back"))) as coordinator:
        ran = await antiphon("keys", "--keys-address", coordinator.address)
        as_json = await antiphon("keys", "status", SLOT, "--json", env={"ANTIPHON_KEYS_ADDRESS": coordinator.address})
    assert ran.code == 0, ran.err
    alarm, header, *_ = ran.out.splitlines()
    assert alarm.startswith("ALARM rolled_back, since ")
    assert header.split()[:4] == ["SLOT", "VERSION", "STAGE", "SHARE"]
    for word in ("candidate", "10 %", "5 min ago", "abc123", "3", "40"):
        assert word in " ".join(row(ran.out, SLOT)), word
    for word in ("openai-a i1", "3 h ago", "4 s ago", "disabled (auth)"):
        assert word in "  ".join(row(ran.out, "openai-a")), word
    assert "waiting" in ran.out.splitlines()[-1]
    shown = json.loads(as_json.out)
    assert [each["version"] for each in shown["versions"]] == [2, 1]
    assert shown["problems"][0]["rule"] == "rolled_back"
    assert coordinator.asked[1].slot == SLOT


async def test_no_keys(antiphon: Callable) -> None:
    async with serving(Coordinator(keys_pb2.ListKeyVersionsResponse())) as coordinator:
        assert (await antiphon("keys", "--keys-address", coordinator.address)).out == "no keys in Vault\n"


@pytest.mark.parametrize(
    ("arguments", "request_", "says"),
    [
        (("rotate", SLOT), keys_pb2.RotateKeyRequest(slot=SLOT), "version 2: candidate, 1 % of the calls"),
        (("promote", SLOT, "--version", "2"), keys_pb2.PromoteKeyRequest(slot=SLOT, version=2), "version 2: current"),
        (
            ("revoke", SLOT, "--version", "1", "--force"),
            keys_pb2.RevokeKeyRequest(slot=SLOT, version=1, force=True),
            "version 1: revoked",
        ),
    ],
)
async def test_orders(antiphon: Callable, arguments: tuple[str, ...], request_: object, says: str) -> None:
    async with serving(Coordinator()) as coordinator:
        ran = await antiphon("keys", *arguments, "--keys-address", coordinator.address)
    assert (ran.code, ran.out) == (0, f"{SLOT} {says}\n"), ran.err
    assert coordinator.asked == [request_]


async def test_waiting_ends_when_every_process_is_there(antiphon: Callable) -> None:
    way = (
        listing("KEY_STATUS_CANDIDATE"),
        listing("KEY_STATUS_CURRENT", held="KEY_STATUS_CANDIDATE"),
        listing("KEY_STATUS_CURRENT"),
    )
    async with serving(Coordinator(*way)) as coordinator:
        ran = await antiphon("keys", "--keys-address", coordinator.address, "rotate", SLOT, "--wait")
    assert (ran.code, ran.out) == (0, f"{SLOT} version 2: current\n"), ran.err
    assert len(coordinator.asked) == 1 + 3


async def test_waiting_for_a_key_that_is_refused(antiphon: Callable) -> None:
    async with serving(Coordinator(listing("KEY_STATUS_BAD", rule="rolled_back"))) as coordinator:
        told = await antiphon("keys", "--keys-address", coordinator.address, "rotate", SLOT, "--wait")
        coordinator.listings = [listing("KEY_STATUS_REVOKED")]
        bare = await antiphon("keys", "--keys-address", coordinator.address, "rotate", SLOT, "--wait")
    assert (told.code, told.err) == (4, "antiphon: it was refused; write a good one\n")
    assert (bare.code, "version 2 is revoked; write a good key" in bare.err) == (4, True)


async def test_waiting_too_long(antiphon: Callable) -> None:
    async with serving(Coordinator(listing("KEY_STATUS_CANDIDATE"))) as coordinator:
        ran = await antiphon(
            "keys", "rotate", SLOT, "--wait", "--timeout", "0.3", "--keys-address", coordinator.address
        )
    assert (ran.code, "is still candidate after 0.3 s" in ran.err) == (10, True), ran.err


@pytest.mark.parametrize(
    ("code", "exit_code", "remedy"),
    [(grpc.StatusCode.NOT_FOUND, 5, "; `antiphon keys` lists"), (grpc.StatusCode.FAILED_PRECONDITION, 6, "no; no")],
)
async def test_a_refused_order(antiphon: Callable, code: grpc.StatusCode, exit_code: int, remedy: str) -> None:
    async with serving(Coordinator()) as coordinator:
        coordinator.refusal = error_pb2.CallError(code=code.value[0], message="no; no")
        ran = await antiphon("keys", "promote", SLOT, "--keys-address", coordinator.address)
    assert (ran.code, remedy in ran.err) == (exit_code, True), ran.err


async def test_nobody_there(antiphon: Callable) -> None:
    ran = await antiphon("keys", "--keys-address", "127.0.0.1:9")
    assert ran.code == 3
    assert ran.err.startswith("antiphon: no coordinator of keys: no connection to 127.0.0.1:9; `make up` starts one")


async def test_a_version_to_revoke_has_to_be_named(antiphon: Callable) -> None:
    ran = await antiphon("keys", "revoke", SLOT)
    assert (ran.code, "--version" in ran.err) == (2, True)
    ran = await antiphon("keys", "rotate", SLOT, "--version", "0")
    assert (ran.code, "'0' is not the number of a version, 1 or more" in ran.err) == (2, True)
