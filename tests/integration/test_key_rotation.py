"""The coordinator against a real OpenBao and a provider service: rotations under calls, orders by the command line."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from key_vendor import KeyVendor, taking_calls
from test_live_keys import MODULE, ROOT, SERVICE, SLOT, Calls, put

from antiphon.router.v1 import keys_pb2, keys_pb2_grpc
from antiphon_conformance.program import Launch, Program, started
from antiphon_embedded.vault_server import VaultServer, running_vault

COORDINATOR = {
    "ANTIPHON_KEYS_WATCH": "openai-a={first},openai-b={second}",
    "ANTIPHON_VAULT_ADDR": "{vault}",
    "ANTIPHON_VAULT_ROLE_ID_FILE": "{logins}/coordinator.role-id",
    "ANTIPHON_VAULT_SECRET_ID_FILE": "{logins}/coordinator.secret-id",
    "ANTIPHON_VAULT_POLL_S": "0.3",
    "ANTIPHON_KEYS_SHARES": "0.1,0.5,1",
    "ANTIPHON_KEYS_STEP_SUCCESSES": "3",
    "ANTIPHON_KEYS_STEP_S": "3",
    "ANTIPHON_KEYS_GRACE_S": "1",
}
NAME = "openai/default"
CURRENT, GRACE, BAD = keys_pb2.KEY_STATUS_CURRENT, keys_pb2.KEY_STATUS_GRACE, keys_pb2.KEY_STATUS_BAD
REVOKED = keys_pb2.KEY_STATUS_REVOKED
WAIT_S = 60.0


class Suite:
    """Two replicas of a provider, their coordinator, and who looks on."""

    def __init__(self, vault: VaultServer, vendor: KeyVendor, address: str, calls: list[Calls]) -> None:
        self.vault = vault
        self.vendor = vendor
        self.address = address
        self.calls = calls
        self._channel = grpc.aio.insecure_channel(address)
        self.admin = keys_pb2_grpc.KeyAdminServiceStub(self._channel)

    async def until(self, fits: Callable[[dict[int, int]], bool]) -> keys_pb2.ListKeyVersionsResponse:
        """Look until the stages of the versions fit."""
        found = keys_pb2.ListKeyVersionsResponse()
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    found = await self.admin.ListKeyVersions(keys_pb2.ListKeyVersionsRequest(slot=NAME))
                    if fits({each.version: each.status for each in found.versions}):
                        return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"not so after {WAIT_S:g} s: {found}") from None

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        async with self.calls[0].flowing(), self.calls[1].flowing():
            yield
        assert [failed for calls in self.calls for failed in calls.failed] == []

    async def close(self) -> None:
        await self._channel.close()

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """`antiphon keys …`: exit code, output, errors."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "antiphon_cli", "keys", *arguments),
            env={"PATH": os.defpath, "ANTIPHON_KEYS_ADDRESS": self.address},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with running_vault(tmp_path_factory.mktemp("vault")) as server:
        yield server


def logins(vault: VaultServer, folder: Path) -> str:
    argv = [sys.executable, str(ROOT / "deploy/vault/bootstrap.py"), "--provider", "openai", "--out", str(folder)]
    env = {"VAULT_ADDR": vault.address, "VAULT_TOKEN": vault.root_token}
    subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)
    return str(folder)


@pytest.fixture
async def suite(vault: VaultServer, tmp_path: Path) -> AsyncIterator[Suite]:
    with taking_calls() as vendor:
        vendor.allowed = {"sk-canary-first": None}
        own = {name: logins(vault, tmp_path / name) for name in ("first", "second", "keys")}
        with vault.root() as root:  # of the test before
            for path in (SLOT, f"{SLOT}-state"):
                root.secrets.kv.v2.delete_metadata_and_all_versions(path)
        put(vault, "sk-canary-first")
        words = {"vendor": vendor.url, "vault": vault.address}
        with (
            started(Launch(MODULE, SERVICE), **words, logins=own["first"]) as first,
            started(Launch(MODULE, SERVICE), **words, logins=own["second"]) as second,
        ):
            first.until_serving()
            second.until_serving()
            where = {"first": first.address, "second": second.address, "logins": own["keys"], "vault": vault.address}
            with started(Launch("antiphon_keys", COORDINATOR), **where) as keys:
                keys.until_serving()
                async with opened(first) as one, opened(second) as other:
                    suite = Suite(vault, vendor, keys.address, [Calls(one), Calls(other)])
                    try:
                        yield suite
                    finally:
                        await suite.close()
                assert "sk-canary" not in keys.log()


@asynccontextmanager
async def opened(program: Program) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(program.address) as channel:
        yield channel


async def test_a_plain_put_is_driven_to_the_end_and_no_call_fails(suite: Suite) -> None:
    await suite.until(lambda stages: stages == {1: CURRENT})
    async with suite.flowing():
        suite.vendor.allowed["sk-canary-second"] = None
        put(suite.vault, "sk-canary-second")
        told = await suite.until(lambda stages: stages.get(2) == CURRENT)
        (first,) = [each for each in told.versions if each.version == 1]
        assert all(use.successes for use in told.versions[0].uses), "each replica had a success before"
        used = suite.vendor.uses("sk-canary-first")
        await suite.until(lambda stages: stages == {1: REVOKED, 2: CURRENT})
        del suite.vendor.allowed["sk-canary-first"]
        await asyncio.gather(*(calls.more(5) for calls in suite.calls))
    assert first.status in (GRACE, REVOKED)
    assert {use.backend for use in told.versions[0].uses} == {"openai-a", "openai-b"}
    assert suite.vendor.uses("sk-canary-first") - used <= 4, "what was under way"


async def test_a_bad_key_is_rolled_back_and_shown(suite: Suite) -> None:
    async with suite.flowing():
        put(suite.vault, "sk-canary-typo")
        told = await suite.until(lambda stages: stages == {1: CURRENT, 2: BAD})
        code, out, _ = await suite.command()
        assert ("rolled_back", 2) in [(problem.rule, problem.version) for problem in told.problems]
        assert (code, "ALARM rolled_back" in out) == (0, True), out
        suite.vendor.allowed["sk-canary-good"] = None
        put(suite.vault, "sk-canary-good")
        await suite.until(lambda stages: stages.get(3) == CURRENT)
    assert suite.vendor.uses("sk-canary-typo") == 0
    code, out, _ = await suite.command("status", NAME, "--json")
    assert code == 0
    shown = json.loads(out)
    assert [row["version"] for row in shown["versions"]] == [3, 2, 1]
    assert "problems" not in shown
    code, _, err = await suite.command("rotate", NAME, "--version", "2")
    assert code == 6
    assert "version 2 is bad; write the key" in err


async def test_orders_by_the_command_line(suite: Suite) -> None:
    await suite.until(lambda stages: stages == {1: CURRENT})
    code, _, err = await suite.command("revoke", NAME, "--version", "1")
    assert (code, "version 1 is the only usable one" in err) == (6, True), err
    code, _, err = await suite.command("rotate", "openai/none")
    assert (code, "there is no slot openai/none; there is openai/default" in err) == (5, True), err
    suite.vendor.allowed["sk-canary-second"] = None
    put(suite.vault, "sk-canary-second")
    code, out, err = await suite.command("rotate", NAME, "--wait")  # nobody calls: by time and by the check alone
    assert (code, out) == (0, "openai/default version 2: current\n"), err
    code, out, err = await suite.command("revoke", NAME, "--version", "2", "--wait")
    if code == 0:  # the first one was not retired yet
        await suite.until(lambda stages: stages == {1: CURRENT, 2: REVOKED})
        await suite.calls[0].one()
        assert suite.vendor.calls[-1][1] == "sk-canary-first"
    else:
        assert "the only usable one" in err
    put(suite.vault, "sk-canary-second")
    code, out, err = await suite.command("promote", NAME, "--wait")
    assert (code, out) == (0, "openai/default version 3: current\n"), err


async def test_without_a_coordinator_the_command_says_so(suite: Suite) -> None:
    code, _, err = await suite.command("--keys-address", "127.0.0.1:9")
    assert code == 3
    assert "no coordinator of keys: no connection to 127.0.0.1:9; `make up` starts one" in err
