"""Owns the decision which services run here, with which environment, and why the others do not.

Forbids itself: starting, opening or reading anything but the routes; it is told what is installed.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from antiphon.config.v1 import suite_pb2
from antiphon_embedded.process import Command
from antiphon_embedded.settings import LauncherSettings
from antiphon_kit.settings import Env

ROUTER: Final = "router"
ROUTER_MODULE: Final = "antiphon_router"
KEYS: Final = "keys"
_KEYS_MODULE: Final = "antiphon_keys"
_COMPAT_MODULE: Final = "antiphon_provider_compat"
_KEYLESS: Final = frozenset({"local"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})

# What a Python process needs from its surroundings, and what every service of ours reads. Everything else has to
# belong to the service by its name; a key of one vendor must not be in the process that talks to another.
_SYSTEM: Final = frozenset(
    ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
)
_SHARED: Final = frozenset({"MAX_TOKENS", "LLM_TIMEOUT"})
_SHARED_PREFIXES: Final = ("ANTIPHON_", "OTEL_", "PYTHON", "GRPC_")
_KEY_SUFFIXES: Final = ("_API_KEY", "_API_KEY_FILE")


@dataclass(frozen=True, slots=True)
class Service:
    """One process to run here."""

    command: Command
    listen: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A backend that does not run here, and what to do about it."""

    name: str
    why: str
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class KeyStore:
    """A Vault on this machine: `providers` have their keys in it, and everyone's login is in `logins`."""

    address: str
    logins: Path
    providers: frozenset[str]

    def covering(self, env: Env) -> Env:
        """`env` with references where it had the keys."""
        return {**env, **{f"{_prefix(name)}_API_KEY": f"vault:{name}/default" for name in self.providers}}

    def login(self, identity: str) -> dict[str, str]:
        """What a service needs to read its keys."""
        return {
            "ANTIPHON_VAULT_ADDR": self.address,
            "ANTIPHON_VAULT_ROLE_ID_FILE": str(self.logins / f"{identity}.role-id"),
            "ANTIPHON_VAULT_SECRET_ID_FILE": str(self.logins / f"{identity}.secret-id"),
        }


@dataclass(slots=True)
class Plan:
    """What `up` starts. `providers` come first, the router once they are under way. `keys`: who rotates their keys."""

    router: Service
    providers: list[Service] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    keys: Service | None = None

    @property
    def services(self) -> list[Service]:
        """Every process, in the order in which people read about them."""
        return [*self.providers, *([self.keys] if self.keys else []), self.router]


def make_plan(
    suite: suite_pb2.Suite,
    settings: LauncherSettings,
    env: Env,
    installed: Callable[[str], bool],
    store: KeyStore | None = None,
) -> Plan:
    """`installed(module)` tells whether a provider's program is there."""
    router = Command(ROUTER, (sys.executable, "-m", ROUTER_MODULE), _router_env(settings, env))
    plan = Plan(Service(router, settings.listen))
    if store is not None:
        env = store.covering(env)
        keys = Command(KEYS, (sys.executable, "-m", _KEYS_MODULE), _keys_env(settings, env, store))
        plan.keys = Service(keys, settings.keys)
    compat = {row.name: row for row in suite.compat}
    for backend in suite.backends:
        row = compat.get(backend.provider)
        module = _COMPAT_MODULE if row else f"antiphon_provider_{backend.provider.replace('-', '_').replace('.', '_')}"
        if not any(map(is_loopback, backend.addresses)):
            where = ", ".join(backend.addresses)
            plan.skipped.append(Skipped(backend.id, f"runs elsewhere; the router looks for it at {where}", True))
            continue
        why = _why_skipped(backend, row, module, env, installed)
        if why:
            plan.skipped.append(Skipped(backend.id, why))
            continue
        shared = _provider_env(backend, row, settings, env)
        if store is not None and not row and backend.provider in store.providers:
            shared |= store.login(backend.provider)
        for name, listen in _replicas(backend):
            argv = (sys.executable, "-m", module)
            plan.providers.append(Service(Command(name, argv, {**shared, "ANTIPHON_LISTEN": listen}), listen))
    return plan


def _why_skipped(
    backend: suite_pb2.Backend,
    row: suite_pb2.CompatServer | None,
    module: str,
    env: Env,
    installed: Callable[[str], bool],
) -> str:
    if not installed(module):
        return f"{module} is not installed; install it, or remove the backend from the routes file"
    key = key_variable(backend.provider, row)
    if key and not (env.get(key, "").strip() or (not row and env.get(f"{key}_FILE", "").strip())):
        return f"no key; set {key}" + ("" if row else f" or {key}_FILE") + " in .env"
    return ""


def key_variable(provider: str, row: suite_pb2.CompatServer | None) -> str:
    """The variable with the provider's key; empty where none is needed from the environment."""
    if row is not None:
        return row.api_key.removeprefix("env:") if row.api_key.startswith("env:") else ""
    return "" if provider in _KEYLESS else f"{_prefix(provider)}_API_KEY"


def is_loopback(address: str) -> bool:
    """Whether this is one static address on this machine."""
    host, _, port = address.rpartition(":")
    return host in _LOOPBACK and port.isdecimal()


def _replicas(backend: suite_pb2.Backend) -> Iterator[tuple[str, str]]:
    here = [address for address in backend.addresses if is_loopback(address)]
    for number, listen in enumerate(here, 1):
        yield (backend.id if len(here) == 1 else f"{backend.id}-{number}"), listen


def _prefix(provider: str) -> str:
    return provider.upper().replace("-", "_").replace(".", "_")


def _select(env: Env, prefixes: tuple[str, ...], names: Iterable[str]) -> dict[str, str]:
    wanted = _SYSTEM | _SHARED | frozenset(names)
    return {
        name: value
        for name, value in env.items()
        if name in wanted or (name.startswith(_SHARED_PREFIXES + prefixes) and not name.endswith(_KEY_SUFFIXES))
    }


def _provider_env(
    backend: suite_pb2.Backend, row: suite_pb2.CompatServer | None, settings: LauncherSettings, env: Env
) -> dict[str, str]:
    key = key_variable(backend.provider, row)
    keys = {key, f"{key}_FILE"} if key else set()
    own = _select(env, () if row else (f"{_prefix(backend.provider)}_",), keys)
    own.pop("ANTIPHON_ADMIN_LISTEN", None)
    own["ANTIPHON_STATE_DOMAIN"] = backend.state_domain or backend.id
    if row:
        own["ANTIPHON_CONFIG"] = str(settings.routes)
        own["ANTIPHON_COMPAT_SERVER"] = row.name
    return own


def _router_env(settings: LauncherSettings, env: Env) -> dict[str, str]:
    return {
        **_select(env, (), {"DEFAULT_LLM"}),
        "ANTIPHON_CONFIG": str(settings.routes),
        "ANTIPHON_LISTEN": settings.listen,
        "ANTIPHON_ADMIN_LISTEN": settings.admin,
    }


def _keys_env(settings: LauncherSettings, env: Env, store: KeyStore) -> dict[str, str]:
    own = _select(env, (), ())
    own.pop("ANTIPHON_ADMIN_LISTEN", None)
    where = {"ANTIPHON_CONFIG": str(settings.routes), "ANTIPHON_LISTEN": settings.keys}
    return {**own, **where, **store.login("coordinator")}
