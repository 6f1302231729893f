"""Owns what the launcher takes from the environment and from `.env`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from dotenv.parser import parse_stream

from antiphon_kit.settings import Env, address, boolean, text

DEFAULT_LISTEN: Final = "127.0.0.1:50050"
DEFAULT_ROUTES: Final = ("antiphon.yaml", "deploy/embedded/antiphon.yaml")


class EnvFileError(Exception):
    """A `.env` that cannot be used. One line: what, where, how to mend; never a value."""


def with_env_file(env: Env, path: Path) -> dict[str, str]:
    """`env` over what the file says; a missing file says nothing. Raises EnvFileError.

    Values are taken as they stand: a `$` in a key is a `$`. Blank variables of `env` do not hide those of the file.
    """
    values: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for binding in parse_stream(file):
                text = binding.original.string
                if binding.error or (binding.key is not None and binding.value is None):
                    line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
                    raise EnvFileError(f"{path}:{line}: not a line like NAME=value; mend it, or put # before it")
                if binding.key is not None:
                    values[binding.key] = binding.value or ""
    except FileNotFoundError:
        return dict(env)
    except (OSError, UnicodeDecodeError) as error:
        raise EnvFileError(f"{path}: cannot be read ({type(error).__name__}); make it a readable UTF-8 file") from None
    return values | {name: value for name, value in env.items() if value.strip() or name not in values}


@dataclass(frozen=True, slots=True)
class LauncherSettings:
    """What the launcher itself needs; the rest of the environment is for the services."""

    routes: Path
    """ANTIPHON_CONFIG: the routes file. Unset: antiphon.yaml here, else the one that comes with the suite."""

    listen: str
    """ANTIPHON_LISTEN: where the router serves clients. 127.0.0.1:50050: reachable from this machine only."""

    admin: str
    """ANTIPHON_ADMIN_LISTEN: where the router serves its operators."""

    cache: Path
    """ANTIPHON_CACHE_DIR: where logs go, in `logs/`, and the keys, in `vault/`. `.cache/antiphon` of the current
    directory."""

    dev_vault: bool = True
    """ANTIPHON_DEV_VAULT: `off` leaves provider keys in the environment of their services instead of a Vault."""

    vault: str = "127.0.0.1:50053"
    """ANTIPHON_DEV_VAULT_LISTEN: where that Vault serves."""

    keys: str = "127.0.0.1:50052"
    """ANTIPHON_KEYS_LISTEN: where the coordinator of keys serves its operators."""

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the settings. Raises SettingError for the first value that cannot be used."""
        found = [name for name in DEFAULT_ROUTES if Path(name).is_file()]
        return cls(
            routes=Path(text(env, "ANTIPHON_CONFIG", found[0] if found else DEFAULT_ROUTES[0])).absolute(),
            listen=address(env, "ANTIPHON_LISTEN", DEFAULT_LISTEN),
            admin=address(env, "ANTIPHON_ADMIN_LISTEN", "127.0.0.1:50051"),
            cache=Path(text(env, "ANTIPHON_CACHE_DIR", ".cache/antiphon")).absolute(),
            dev_vault=boolean(env, "ANTIPHON_DEV_VAULT", True),
            vault=address(env, "ANTIPHON_DEV_VAULT_LISTEN", "127.0.0.1:50053"),
            keys=address(env, "ANTIPHON_KEYS_LISTEN", "127.0.0.1:50052"),
        )
