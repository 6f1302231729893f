"""docs/vault.md does what it says: its commands are run here as they stand."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from key_vendor import KeyVendor, taking_calls
from test_live_keys import MODULE, Calls, stages

from antiphon.router.v1 import keys_pb2, keys_pb2_grpc
from antiphon_conformance.program import Launch, started
from antiphon_embedded.vault_server import running_vault

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/vault.md").read_text(encoding="utf-8")
# What takes minutes there. The grace is long, so that the first version is there to go back to.
QUICK = {"ANTIPHON_KEYS_STEP_SUCCESSES": "3", "ANTIPHON_KEYS_STEP_S": "0.5", "ANTIPHON_KEYS_GRACE_S": "600"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@contextmanager
def page(tmp_path: Path) -> Iterator[tuple[Callable[[str], None], KeyVendor, str]]:
    """A server as the page wants it, and who runs the page's commands there."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    with running_vault(tmp_path / "vault") as vault, taking_calls() as vendor:
        env = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "HOME": str(tmp_path),
            "VAULT_ADDR": vault.address,
            "VAULT_TOKEN": vault.root_token,
            "OPENAI_KEY": "sk-canary-1",
            "NEXT_OPENAI_KEY": "sk-canary-2",
        }

        def run(block: str, **more: str) -> None:
            argv = ["sh", "-ec", block]
            subprocess.run(argv, cwd=tmp_path, env=env | more, check=True, stdout=subprocess.DEVNULL)

        vendor.allowed = {"sk-canary-1": None, "sk-canary-2": None}
        with vault.root() as root:
            root.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})  # as -dev servers have it
        yield run, vendor, vault.address


async def test_from_an_empty_vault_to_a_revoked_key(tmp_path: Path) -> None:
    prepare, write, rotate, order, revoke, _ = blocks("sh")
    of_service, of_coordinator = blocks("env")
    with page(tmp_path) as (run, vendor, vault):
        run(prepare)
        run(write)
        with started(launch(MODULE, of_service, tmp_path, vault, OPENAI_BASE_URL=f"{vendor.url}/v1")) as program:
            program.until_serving()
            watched = {"ANTIPHON_KEYS_WATCH": f"openai={program.address}", **QUICK}
            with started(launch("antiphon_keys", of_coordinator, tmp_path, vault, **watched)) as keys:
                keys.until_serving()
                where = {"ANTIPHON_KEYS_ADDRESS": keys.address}
                async with grpc.aio.insecure_channel(program.address) as channel:
                    calls = Calls(channel)
                    async with calls.flowing():
                        await calls.more(1)
                        run(rotate)
                        await asyncio.to_thread(run, order, **where)
                        await calls.more(1)
                    await asyncio.to_thread(run, revoke, **where)
                    await stages(channel, {1: keys_pb2.KEY_STATUS_CURRENT})
                    assert calls.failed == []


async def test_without_a_coordinator(tmp_path: Path) -> None:
    prepare, write, rotate, _, _, revoke = blocks("sh")
    of_service, _ = blocks("env")
    with page(tmp_path) as (run, vendor, vault):
        run(prepare)
        run(write)
        with started(launch(MODULE, of_service, tmp_path, vault, OPENAI_BASE_URL=f"{vendor.url}/v1")) as program:
            program.until_serving()
            async with grpc.aio.insecure_channel(program.address) as channel:
                calls = Calls(channel)
                async with calls.flowing():
                    await calls.more(1)
                    run(rotate)
                    await stages(channel, {2: keys_pb2.KEY_STATUS_CURRENT, 1: keys_pb2.KEY_STATUS_GRACE})
                run(revoke)
                await keys_pb2_grpc.KeyUseServiceStub(channel).RefreshKeys(keys_pb2.RefreshKeysRequest())
                await stages(channel, {2: keys_pb2.KEY_STATUS_CURRENT})
                assert calls.failed == []


def launch(module: str, settings: str, folder: Path, vault: str, **own: str) -> Launch:
    """A program with the settings of the page, at the server of the test."""
    env = dict(line.split("=", 1) for line in settings.splitlines() if not line.startswith("ANTIPHON_LISTEN="))
    files = {name: str(folder / value) for name, value in env.items() if name.endswith("_FILE")}
    return Launch(module, {**env, **files, "ANTIPHON_VAULT_ADDR": vault, "ANTIPHON_VAULT_POLL_S": "0.5", **own})
