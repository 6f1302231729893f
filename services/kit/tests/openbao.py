"""Owns what the tests do to a real OpenBao: bootstrap it as operators do, write keys, read them as a service does."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon_contract.errors import CallFailure, Reason, call_error
from antiphon_embedded.vault_server import VaultServer
from antiphon_kit.key_ring import KeyRing
from antiphon_kit.secrets import Secret
from antiphon_kit.vault_client import VaultClient
from antiphon_kit.vault_keys import VaultKeys
from antiphon_kit.vault_settings import SlotReference, VaultSettings

BOOTSTRAP = Path(__file__).parents[3] / "deploy/vault/bootstrap.py"


@dataclass
class Clock:
    """Monotonic time that only tests move."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Bank:
    """A bootstrapped server and the login files of its services."""

    def __init__(self, server: VaultServer, logins: Path, ca_file: str = "") -> None:
        self.server = server
        self.logins = logins
        self.ca_file = ca_file

    def bootstrap(self, *providers: str, options: Sequence[str] = ()) -> None:
        """Run the operator's script; its login files are fresh after it."""
        argv = [sys.executable, str(BOOTSTRAP), "--out", str(self.logins), f"--ca-file={self.ca_file}", *options]
        for provider in providers:
            argv += ["--provider", provider]
        env = {"VAULT_ADDR": self.server.address, "VAULT_TOKEN": self.server.root_token, "PATH": "/usr/bin"}
        subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)

    def settings(self, identity: str, **changes: Any) -> VaultSettings:
        """What a service with this identity is given."""
        fields = {
            "address": self.server.address,
            "ca_file": self.ca_file,
            "role_id_file": str(self.logins / f"{identity}.role-id"),
            "secret_id_file": str(self.logins / f"{identity}.secret-id"),
        }
        return VaultSettings(**{**fields, **changes})

    def put(self, slot: str, value: object, *, field: str = "value", **more: Any) -> int:
        """`kv put`; the version."""
        return self._write(f"antiphon/{slot}", {field: value}, **more)

    def stage(self, slot: str, **stages: object) -> None:
        """Write the state document: `v3={"status": "current"}`."""
        document = {name.removeprefix("v"): value for name, value in stages.items()}
        path = f"antiphon/{slot}-state"
        with self.server.root() as root:
            found = root.secrets.kv.v2.read_secret_metadata(path)["data"]["current_version"]
        self._write(path, document, cas=found)

    def _write(self, path: str, data: dict[str, object], **more: Any) -> int:
        with self.server.root() as root:
            answer = root.secrets.kv.v2.create_or_update_secret(path, data, **more)
        return int(answer["data"]["version"])


class Vendor:
    """Says of every key whether it takes it."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.failing: CallFailure | None = None
        self.asked: list[str] = []

    async def prove(self, secret: Secret) -> None:
        self.asked.append(secret.reveal())
        if self.failing is not None:
            raise self.failing
        if secret.reveal() in self.refused:
            raise CallFailure(call_error(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, "no", http_status=401))


class Service:
    """The keys of one service, looked after by hand."""

    def __init__(self, settings: VaultSettings, *slots: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.client = VaultClient(settings, now_s=clock)
        self.keys = VaultKeys(settings, [SlotReference(slot) for slot in slots], client=self.client)
        self.ring = KeyRing(self.keys, roll=lambda: 0.999)
        self.vendor = Vendor()
        self.keys._prove = self.vendor.prove

    async def use(self, model: str = "m") -> str:
        """The key that a call gets now, which the vendor takes."""
        async with self.ring.lease(model) as key:
            key.accepted()
            return key.secret.reveal()

    async def missing(self) -> str:
        """Why a call gets none."""
        try:
            return f"got {await self.use()}"
        except CallFailure as failed:
            return failed.error.message

    @property
    def stages(self) -> dict[int, str]:
        return {each.number: each.stage.name for slot in self.ring.slots for each in slot.versions}

    @property
    def rules(self) -> list[str]:
        return [each.rule for each in self.ring.problems]

    async def aclose(self) -> None:
        await self.keys.aclose()
        self.keys._thread.shutdown(wait=True)
