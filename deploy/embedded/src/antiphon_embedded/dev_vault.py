"""Owns the Vault of `up`: whose keys go into it, and that they are there before a service asks.

A key in the environment or in .env is written once: what it was rotated to later stays, until the variable changes.
Forbids itself: showing or keeping a key anywhere else.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import hvac
import hvac.exceptions
import requests

from antiphon.config.v1 import suite_pb2
from antiphon_embedded.plan import KeyStore, is_loopback, key_variable
from antiphon_embedded.settings import LauncherSettings
from antiphon_embedded.vault_server import VaultFailure, VaultServer, executable, running_vault
from antiphon_kit.settings import Env, text

BOOTSTRAP: Final = Path(__file__).parents[3] / "vault" / "bootstrap.py"
COORDINATOR: Final = "coordinator"
MOUNT: Final = "secret"
_LIMIT_S: Final = 120.0


def planned(suite: suite_pb2.Suite, settings: LauncherSettings, env: Env) -> tuple[KeyStore | None, str]:
    """The store as it will be, or None; then why not and what to do, where somebody might wonder."""
    logins = settings.cache / "vault" / "logins"
    known = {backend.provider for backend in _known(suite)}
    kept = {path.stem for path in logins.glob("*.secret-id")} & known
    elsewhere = {provider for provider in kept if text(env, f"{key_variable(provider, None)}_FILE", "")}
    providers = frozenset(kept - elsewhere | _given(suite, env).keys())
    if text(env, "ANTIPHON_VAULT_ADDR", ""):
        return None, ""
    if not providers:
        return None, _invitation(known, env) if settings.dev_vault else ""
    if not settings.dev_vault:
        return None, without("ANTIPHON_DEV_VAULT is off")
    try:
        executable()
    except VaultFailure as failure:
        return None, without(str(failure))
    if not BOOTSTRAP.exists():
        return None, without(f"{BOOTSTRAP} is not there; run from a checkout")
    return KeyStore(f"http://{settings.vault}", logins, providers), ""


def without(why: str) -> str:
    """What to say of a suite without a store, though somebody has a key."""
    return f"none, keys come from the environment: {why}"


def _invitation(known: Iterable[str], env: Env) -> str:
    """How to get a store, where nobody has a key yet. A service for each vendor, all without one, would help nobody."""
    names = [key_variable(provider, None) for provider in sorted(known)]
    if not names or any(text(env, name, "") or text(env, f"{name}_FILE", "") for name in names):
        return ""
    return (
        f"none, no provider has a key. Write {names[0]}=... or another one into .env and start again: the key goes "
        "into a Vault on this machine, where you can rotate it while calls run"
    )


@contextmanager
def running(store: KeyStore, settings: LauncherSettings, env: Env) -> Iterator[VaultServer]:
    """The server, filled, for the body of the `with`. Call it on the main thread. Raises VaultFailure."""
    with running_vault(settings.cache / "vault", address=settings.vault) as server:
        fill(server, store, dict(_environment(env, store.providers)))
        yield server


def fill(server: VaultServer, store: KeyStore, keys: Mapping[str, str]) -> None:
    """Policies, identities, `keys` by provider. Raises VaultFailure. Blocks."""
    options = [option for provider in sorted(store.providers) for option in ("--provider", provider)]
    argv = [sys.executable, str(BOOTSTRAP), "--address", server.address, *options]
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            argv, env={"VAULT_TOKEN": server.root_token}, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
        if done.returncode:
            raise VaultFailure(f"OpenBao could not be prepared: {done.stderr.strip().rpartition(chr(10))[2]}")
        with server.root() as root:
            for identity in (*store.providers, COORDINATOR):
                _hand_out(root, store, identity)
            for provider, key in keys.items():
                put_once(root, provider, key)
    except (requests.RequestException, hvac.exceptions.VaultError, subprocess.TimeoutExpired) as error:
        raise VaultFailure(f"OpenBao could not be filled ({type(error).__name__}); whole log: {server.log}") from None


def put_once(root: hvac.Client, provider: str, key: str) -> None:
    """Write `key`, unless it is or was the key already."""
    kv, path = root.secrets.kv.v2, f"antiphon/{provider}/default"
    metadata = kv.read_secret_metadata(path, mount_point=MOUNT)["data"]
    for number in _living(metadata):
        found = kv.read_secret_version(path, version=number, mount_point=MOUNT, raise_on_deleted_version=True)
        if found["data"]["data"].get("value") == key:
            return
    kv.create_or_update_secret(path, {"value": key}, cas=metadata["current_version"], mount_point=MOUNT)


def _living(metadata: Mapping[str, Any]) -> Iterable[int]:
    rows = metadata.get("versions") or {}
    return [int(number) for number, row in rows.items() if not row["deletion_time"] and not row["destroyed"]]


def _hand_out(root: hvac.Client, store: KeyStore, identity: str) -> None:
    # Not wrapped: a service that is started again, and its replicas, log in with the same.
    store.logins.mkdir(mode=0o700, parents=True, exist_ok=True)
    role = f"antiphon-{identity}"
    role_id = root.auth.approle.read_role_id(role)["data"]["role_id"]
    secret_id = root.auth.approle.generate_secret_id(role)["data"]["secret_id"]
    for kind, value in (("role-id", role_id), ("secret-id", secret_id)):
        path = store.logins / f"{identity}.{kind}"
        path.touch(mode=0o600)
        path.write_text(value, encoding="ascii")


def _known(suite: suite_pb2.Suite) -> Iterator[suite_pb2.Backend]:
    """Backends that run here with a key of a known vendor."""
    compat = {row.name for row in suite.compat}
    for backend in suite.backends:
        here = any(map(is_loopback, backend.addresses))
        if here and backend.provider not in compat and key_variable(backend.provider, None):
            yield backend


def _given(suite: suite_pb2.Suite, env: Env) -> dict[str, str]:
    return dict(_environment(env, {backend.provider for backend in _known(suite)}))


def _environment(env: Env, providers: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Keys in variables; one in a file is read from there, again when it changes, and is not ours to move."""
    for provider in providers:
        name = key_variable(provider, None)
        key = text(env, name, "")
        if key and not key.startswith("vault:") and not text(env, f"{name}_FILE", ""):
            yield provider, key
