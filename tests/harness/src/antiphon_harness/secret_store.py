"""Owns the secret store of a test: a real OpenBao, prepared by the script that operators use, and what lies in it.

Every talk with it happens in a thread. Forbids itself: being how services read their keys; those log in by themselves.
"""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import hvac
import hvac.exceptions

from antiphon_embedded.vault_server import VaultServer
from antiphon_harness.processes import HarnessError

T = TypeVar("T")
BOOTSTRAP: Final = Path(__file__).parents[4] / "deploy" / "vault" / "bootstrap.py"
MOUNT: Final = "secret"
PREFIX: Final = "antiphon"


class SecretStore:
    """One server. `directory`: for its data; `logins`: for what services log in with."""

    def __init__(self, directory: Path) -> None:
        self.server = VaultServer(directory)
        self.directory = directory
        self.logins = directory / "logins"
        self.handed_out: dict[str, str] = {}
        """Secrets that went to services, by what they are."""

    async def start(self, providers: Sequence[str], slots: Sequence[str]) -> None:
        """Start and prepare it."""
        # What an earlier run left would have versions of its own.
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        await self.restart()
        await asyncio.to_thread(self._prepare, providers, slots)

    async def restart(self) -> None:
        """Start the process and unseal it. Not in a thread: its life is tied to the one that starts it."""
        self.server.start()
        await asyncio.to_thread(self.server.until_ready)

    def _prepare(self, providers: Sequence[str], slots: Sequence[str]) -> None:
        argv = [sys.executable, str(BOOTSTRAP), "--out", str(self.logins)]
        for option, values in (("--provider", providers), ("--slot", slots)):
            argv += [word for value in values for word in (option, value)]
        env = {"VAULT_ADDR": self.server.address, "VAULT_TOKEN": self.server.root_token}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise HarnessError(f"the store could not be prepared: {done.stderr[-500:]}")

    def end(self) -> None:
        """End it, whatever state it is in."""
        self.server.kill()

    async def ask(self, work: Callable[[hvac.Client], T]) -> T:
        """`work` with a client that may do everything. Raises HarnessError."""
        try:
            return await asyncio.to_thread(self._ask, work)
        except (hvac.exceptions.VaultError, OSError) as error:
            raise HarnessError(f"the store: {type(error).__name__} {error}"[:300]) from None

    def _ask(self, work: Callable[[hvac.Client], T]) -> T:
        with self.server.root() as root:
            return work(root)

    async def put(self, slot: str, value: str) -> int:
        """What `kv put` does: the next version of a key; returns its number."""
        return await self.ask(partial(_put, path=f"{PREFIX}/{slot}", value=value))

    async def stages(self, slot: str) -> dict[int, str]:
        """The state document: version to status; nothing where there is none."""
        document = await self.ask(partial(_document, path=f"{PREFIX}/{slot}-state"))
        return {int(number): row["status"] for number, row in document.items()}

    async def write_stages(self, slot: str, stages: Mapping[int, str]) -> None:
        """Write the state document, as a person would."""
        document = {str(number): {"status": status} for number, status in stages.items()}
        await self.ask(partial(_write_document, path=f"{PREFIX}/{slot}-state", document=document))

    async def login(self, service: str, process: str, *, wrapped: bool = True) -> dict[str, str]:
        """The settings with which a process logs in as `service`; a wrapped secret-id opens once."""
        wrap = "1h" if wrapped else None

        def work(root: hvac.Client) -> tuple[str, str]:
            role_id = root.auth.approle.read_role_id(f"antiphon-{service}")["data"]["role_id"]
            made = root.auth.approle.generate_secret_id(f"antiphon-{service}", wrap_ttl=wrap)
            return role_id, made["wrap_info"]["token"] if wrapped else made["data"]["secret_id"]

        role_id, secret_id = await self.ask(work)
        files = self.logins / f"{process}.role-id", self.logins / f"{process}.secret-id"
        for file, content in zip(files, (role_id, secret_id), strict=True):
            file.write_text(content, encoding="ascii")
        self.handed_out[f"{'wrapping token' if wrapped else 'secret-id'} of {process}"] = secret_id
        return {
            "ANTIPHON_VAULT_ADDR": self.server.address,
            "ANTIPHON_VAULT_ROLE_ID_FILE": str(files[0]),
            "ANTIPHON_VAULT_SECRET_ID_FILE": str(files[1]),
        }

    def logins_of(self, service: str, since: int) -> int:
        """Successful logins as `service` that the audit log tells of from byte `since` on."""
        return sum(
            row["type"] == "response"
            and row["request"]["path"] == "auth/approle/login"
            and not row.get("error")
            and row["response"].get("auth", {}).get("metadata", {}).get("role_name") == f"antiphon-{service}"
            for row in self.audited(since)
        )

    def audited(self, since: int) -> list[dict[str, Any]]:
        """The audit log from byte `since` on."""
        with self.server.audit.open("rb") as file:
            file.seek(since)
            return [json.loads(line) for line in file.read().splitlines()]

    def audit_size(self) -> int:
        """Bytes of the audit log so far."""
        return self.server.audit.stat().st_size


def _put(root: hvac.Client, *, path: str, value: str) -> int:
    kv = root.secrets.kv.v2
    return int(kv.create_or_update_secret(path, {"value": value}, mount_point=MOUNT)["data"]["version"])


def _document(root: hvac.Client, *, path: str) -> dict[str, Any]:
    kv = root.secrets.kv.v2
    try:
        found = kv.read_secret_version(path, mount_point=MOUNT, raise_on_deleted_version=True)
    except hvac.exceptions.InvalidPath:
        return {}
    return dict(found["data"]["data"])


def _write_document(root: hvac.Client, *, path: str, document: Mapping[str, Any]) -> None:
    kv = root.secrets.kv.v2
    cas = kv.read_secret_metadata(path, mount_point=MOUNT)["data"]["current_version"]
    kv.create_or_update_secret(path, dict(document), cas=cas, mount_point=MOUNT)
