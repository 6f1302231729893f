"""A provider service whose key lies in a real OpenBao: rotated under calls by a plain `kv put`, found nowhere else."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from key_vendor import KeyVendor, taking_calls

from antiphon.llm.v1 import chat_pb2, chat_pb2_grpc, content_pb2
from antiphon.router.v1 import health_pb2, keys_pb2, keys_pb2_grpc
from antiphon_conformance.program import Launch, Program, started
from antiphon_contract.errors import from_trailers
from antiphon_embedded.vault_server import VaultServer, running_vault

ROOT = Path(__file__).parents[2]
SLOT = "antiphon/openai/default"
MODULE = "antiphon_provider_openai"
SERVICE = {
    "OPENAI_BASE_URL": "{vendor}/v1",
    "ANTIPHON_VAULT_ADDR": "{vault}",
    "ANTIPHON_VAULT_ROLE_ID_FILE": "{logins}/openai.role-id",
    "ANTIPHON_VAULT_SECRET_ID_FILE": "{logins}/openai.secret-id",
    "ANTIPHON_VAULT_POLL_S": "0.2",
    "ANTIPHON_LOG_LEVEL": "debug",
}
ASK_S = 20.0


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with running_vault(tmp_path_factory.mktemp("vault")) as server:
        yield server


@pytest.fixture
def vendor() -> Iterator[KeyVendor]:
    with taking_calls() as vendor:
        yield vendor


def put(vault: VaultServer, value: str) -> int:
    with vault.root() as root:
        return int(root.secrets.kv.v2.create_or_update_secret(SLOT, {"value": value})["data"]["version"])


@pytest.fixture
def service(vault: VaultServer, vendor: KeyVendor, tmp_path: Path) -> Iterator[Program]:
    argv = [sys.executable, str(ROOT / "deploy/vault/bootstrap.py"), "--provider", "openai", "--out", str(tmp_path)]
    env = {"VAULT_ADDR": vault.address, "VAULT_TOKEN": vault.root_token}
    subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)
    vendor.allowed = {"sk-canary-first": None}
    put(vault, "sk-canary-first")
    with started(Launch(MODULE, SERVICE), vendor=vendor.url, vault=vault.address, logins=str(tmp_path)) as program:
        program.until_serving()
        yield program


class Calls:
    """Calls as a router makes them: sent again where the service says that another key may do."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = chat_pb2_grpc.ChatServiceStub(channel)
        self._progress = asyncio.Condition()
        self.served = self.again = 0
        self.failed: list[str] = []

    async def one(self, model: str = "m") -> None:
        request = chat_pb2.StreamGenerateRequest(model=model)
        request.prompt.messages.add(role=content_pb2.ROLE_USER).parts.add().text.text = "hi"
        for attempt in range(3):
            try:
                await self._stub.Generate(
                    chat_pb2.GenerateRequest.FromString(request.SerializeToString()), timeout=ASK_S
                )
            except grpc.aio.AioRpcError as error:
                told = from_trailers(tuple(error.trailing_metadata() or ()))
                if told is None or not told.retry_same_backend or attempt == 2:
                    self.failed.append(f"{error.code()} {error.details()}")
                    return
                self.again += 1
            else:
                self.served += 1
                async with self._progress:
                    self._progress.notify_all()
                return

    async def more(self, count: int) -> None:
        """Wait for that many further calls to be served."""
        wanted = self.served + count
        async with self._progress:
            await self._progress.wait_for(lambda: self.served >= wanted)

    @asynccontextmanager
    async def flowing(self, model: str = "m") -> AsyncIterator[None]:
        """One call after the other, for the body of the `with`."""
        stop = asyncio.Event()

        async def flow() -> None:
            while not stop.is_set():
                await self.one(model)

        tasks = [asyncio.create_task(flow()) for _ in range(2)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)


async def stages(channel: grpc.aio.Channel, wanted: dict[int, int]) -> keys_pb2.WatchKeyUseResponse:
    """Watch until the versions are in these stages."""
    watch = keys_pb2_grpc.KeyUseServiceStub(channel).WatchKeyUse(keys_pb2.WatchKeyUseRequest(), timeout=60)
    async for told in watch:
        if {use.version: use.status for use in told.uses} == wanted:
            watch.cancel()
            return told
    raise AssertionError("the watch ended")


async def test_a_plain_put_rotates_under_calls_and_no_call_fails(
    service: Program, vault: VaultServer, vendor: KeyVendor
) -> None:
    async with grpc.aio.insecure_channel(service.address) as channel:
        calls = Calls(channel)
        first = (await stages(channel, {1: keys_pb2.KEY_STATUS_CURRENT})).uses[0]
        assert (first.slot, len(first.fingerprint)) == ("openai/default", 12)
        async with calls.flowing():
            vendor.allowed["sk-canary-second"] = None
            put(vault, "sk-canary-second")
            told = await stages(channel, {2: keys_pb2.KEY_STATUS_CURRENT, 1: keys_pb2.KEY_STATUS_GRACE})
            used = vendor.uses("sk-canary-first")
            # The vendor drops the old key: nobody notices.
            del vendor.allowed["sk-canary-first"]
            await calls.more(10)
        assert calls.failed == []
        assert vendor.uses("sk-canary-second") >= 20, "the trial"
        assert vendor.uses("sk-canary-first") - used <= 2, "but for what was under way"
        assert told.uses[0].last_success_time.seconds > 0
        assert told.uses[0].instance


async def test_keys_that_fail_in_every_way_are_rolled_back_and_no_call_fails(
    service: Program, vault: VaultServer, vendor: KeyVendor
) -> None:
    async with grpc.aio.insecure_channel(service.address) as channel:
        calls = Calls(channel)
        current = (
            await anext(aiter(keys_pb2_grpc.KeyUseServiceStub(channel).WatchKeyUse(keys_pb2.WatchKeyUseRequest())))
        ).uses[0]
        async with calls.flowing():
            typo = put(vault, "sk-canary-typo")
            told = await stages_of(channel, typo, keys_pb2.KEY_STATUS_BAD)
            assert [(each.rule, each.version) for each in told.problems] == [("rolled_back", typo)]
            assert all(key != "sk-canary-typo" for _, key, _ in vendor.calls), "the check found it"
            vendor.allowed["sk-canary-poor"] = {"other"}
            poor = put(vault, "sk-canary-poor")
            told = await stages_of(channel, poor, keys_pb2.KEY_STATUS_BAD)
            use = next(each for each in told.uses if each.version == poor)
            assert use.targets[0].reason == health_pb2.HEALTH_REASON_PERMISSION
        assert calls.failed == []
        refused = sum(1 for _, key, status in vendor.calls if key == "sk-canary-poor" and status != 200)
        assert 1 <= refused <= 2, "once, and what was under way then"
        assert refused == calls.again
        assert vendor.uses("sk-canary-poor") == 0
        assert current.status == keys_pb2.KEY_STATUS_CURRENT


async def stages_of(
    channel: grpc.aio.Channel, version: int, status: "keys_pb2.KeyStatus"
) -> keys_pb2.WatchKeyUseResponse:
    """Watch until one version is in a stage."""
    watch = keys_pb2_grpc.KeyUseServiceStub(channel).WatchKeyUse(keys_pb2.WatchKeyUseRequest(), timeout=60)
    async for told in watch:
        if any(use.version == version and use.status == status for use in told.uses):
            watch.cancel()
            return told
    raise AssertionError("the watch ended")


async def test_a_revocation_does_not_wait_for_the_poll(service: Program, vault: VaultServer, vendor: KeyVendor) -> None:
    async with grpc.aio.insecure_channel(service.address) as channel:
        stub = keys_pb2_grpc.KeyUseServiceStub(channel)
        (use,) = [
            each
            for each in (await stub.RefreshKeys(keys_pb2.RefreshKeysRequest())).uses
            if each.status == keys_pb2.KEY_STATUS_CURRENT
        ]
        vendor.allowed["sk-canary-next"] = None
        number = put(vault, "sk-canary-next")
        with vault.root() as root:
            document = {str(use.version): {"status": "revoked"}, str(number): {"status": "current"}}
            found = root.secrets.kv.v2.read_secret_metadata(f"{SLOT}-state")["data"]["current_version"]
            root.secrets.kv.v2.create_or_update_secret(f"{SLOT}-state", document, cas=found)
        told = await stub.RefreshKeys(keys_pb2.RefreshKeysRequest())
        assert {each.version: each.status for each in told.uses} == {number: keys_pb2.KEY_STATUS_CURRENT}
        calls = Calls(channel)
        await calls.one()
        assert (calls.served, vendor.calls[-1][1]) == (1, "sk-canary-next")
        with vault.root() as root:
            root.secrets.kv.v2.delete_metadata_and_all_versions(f"{SLOT}-state")


def test_the_key_is_in_no_place_that_others_read(service: Program, tmp_path: Path) -> None:
    with_file = tmp_path / "key"
    with_file.write_text("sk-canary-file")
    for pid in (service.pid,):
        shown = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"sk-canary" not in shown
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert [line.split()[4] for line in limits.splitlines() if line.startswith("Max core file size")] == ["0"]
    assert "sk-canary" not in service.log()
    folder = Path(os.readlink(f"/proc/{service.pid}/cwd"))
    service.process.send_signal(signal.SIGABRT)
    assert service.wait() == -signal.SIGABRT
    assert not list(folder.glob("core*"))


def test_a_start_without_vault_is_not_serving_and_says_why_once(vendor: KeyVendor, tmp_path: Path) -> None:
    (tmp_path / "openai.role-id").write_text("r")
    (tmp_path / "openai.secret-id").write_text("s")
    with started(
        Launch(MODULE, SERVICE), vendor=vendor.url, vault="http://127.0.0.1:9", logins=str(tmp_path)
    ) as program:
        with pytest.raises(AssertionError, match="not SERVING"):
            program.until_serving(within_s=3.0)
        assert program.process.poll() is None
        assert program.log().count('"event": "key_problem"') == 1
        assert "http://127.0.0.1:9 cannot be reached" in program.log()
        program.terminate()
        assert program.wait() == 0
