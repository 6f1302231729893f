"""Owns the process settings of the coordinator."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from antiphon_keys.rotation import Pace
from antiphon_kit.settings import (
    Env,
    ServiceSettings,
    SettingError,
    address,
    boolean,
    integer,
    is_address,
    seconds,
    text,
)
from antiphon_kit.tls_settings import TlsSettings
from antiphon_kit.vault_settings import VaultSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysSettings:
    """What the coordinator takes from its environment."""

    vault: VaultSettings
    """ANTIPHON_VAULT_*, as for provider services; the identity is antiphon-coordinator."""

    service: ServiceSettings = field(default_factory=lambda: ServiceSettings(listen="127.0.0.1:50052"))
    """What every service has. ANTIPHON_LISTEN is 127.0.0.1:50052 by default."""

    tls: TlsSettings = field(default_factory=TlsSettings)
    """What every service has, also for the way to the provider processes."""

    watch: tuple[tuple[str, str], ...] = ()
    """ANTIPHON_KEYS_WATCH: provider processes, `host:port` or `dns:///name:port`, each with `backend=` before it if
    wanted, separated by commas. Unset: all addresses of the routes file."""

    config: Path | None = None
    """ANTIPHON_CONFIG: path of the routes file. Required without ANTIPHON_KEYS_WATCH."""

    pace: Pace = field(default_factory=Pace)
    """ANTIPHON_KEYS_SHARES (0.01,0.1,0.5,1): parts of the calls that a candidate gets. ANTIPHON_KEYS_STEP_SUCCESSES
    (20) or ANTIPHON_KEYS_STEP_S (30): when the next one is due. ANTIPHON_KEYS_GRACE_S (60): how long a replaced version
    stays the fallback: longer than two looks of a process."""

    delete_retired: bool = False
    """ANTIPHON_KEYS_DELETE_RETIRED: `true` deletes a version in Vault once nobody uses it, so that it can be undone."""

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the settings. Raises SettingError for the first value that cannot be used."""
        watch = _watch(env)
        config = text(env, "ANTIPHON_CONFIG", "")
        if not watch and not config:
            problem = "not set; name the routes file, or the provider processes in ANTIPHON_KEYS_WATCH"
            raise SettingError("ANTIPHON_CONFIG", "", problem)
        listen = address(env, "ANTIPHON_LISTEN", "127.0.0.1:50052")
        return cls(
            vault=VaultSettings.from_env(env),
            service=replace(ServiceSettings.from_env(env), listen=listen),
            tls=TlsSettings.from_env(env),
            watch=watch,
            config=Path(config) if config else None,
            pace=Pace(
                shares=_shares(env),
                step_successes=integer(env, "ANTIPHON_KEYS_STEP_SUCCESSES", 20, 1, 1_000_000),
                step_s=seconds(env, "ANTIPHON_KEYS_STEP_S", 30.0),
                grace_s=seconds(env, "ANTIPHON_KEYS_GRACE_S", 60.0),
            ),
            delete_retired=boolean(env, "ANTIPHON_KEYS_DELETE_RETIRED", False),
        )


def _watch(env: Env) -> tuple[tuple[str, str], ...]:
    name = "ANTIPHON_KEYS_WATCH"
    value = text(env, name, "")
    found = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        backend, _, where = part.rpartition("=")
        if not is_address(where.removeprefix("dns:///")):
            raise SettingError(name, part, "not an address; use host:port or dns:///name:port, with commas between")
        found.append((where, backend))
    return tuple(found)


def _shares(env: Env) -> tuple[float, ...]:
    name = "ANTIPHON_KEYS_SHARES"
    value = text(env, name, "0.01,0.1,0.5,1")
    try:
        shares = tuple(float(part) for part in value.split(","))
    except ValueError:
        shares = ()
    if not shares or sorted(set(shares)) != list(shares) or not shares[0] > 0 or shares[-1] != 1:
        raise SettingError(name, value, "not rising parts of the calls; use numbers above 0 that end with 1")
    return shares
