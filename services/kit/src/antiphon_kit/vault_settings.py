"""Owns how a provider service is told where its keys are in Vault or OpenBao, and who it is there.

Forbids itself: secrets. They come from files, which a process reads again when they change.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from antiphon_kit.settings import Env, SettingError, boolean, choice, http_url, seconds, text

_LOOPBACK: Final = re.compile(r"http://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?(/.*)?")
_PATH: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_REFERENCE: Final = re.compile(r"(?P<path>[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)?)(=(?P<weight>[0-9]{1,4}))?")
DEFAULT_SLOT: Final = "default"
STATE_SUFFIX: Final = "-state"
KUBERNETES_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """What a process needs to reach its keys."""

    address: str
    """ANTIPHON_VAULT_ADDR: `https://vault.example:8200`. http only on loopback, or with ANTIPHON_VAULT_PLAINTEXT."""

    namespace: str = ""
    """ANTIPHON_VAULT_NAMESPACE: for servers that have them."""

    ca_file: str = ""
    """ANTIPHON_VAULT_CACERT: PEM file of the authorities to trust. Empty: those of the system's Python."""

    mount: str = "secret"
    """ANTIPHON_VAULT_MOUNT: where the KV engine, version 2, is mounted. secret: what development servers have."""

    prefix: str = "antiphon"
    """ANTIPHON_VAULT_PREFIX: path below the mount under which the suite keeps everything."""

    auth: str = "approle"
    """ANTIPHON_VAULT_AUTH: approle, kubernetes or token-file."""

    auth_mount: str = ""
    """ANTIPHON_VAULT_AUTH_MOUNT: where the auth method is mounted. Empty: approle or kubernetes."""

    role: str = ""
    """ANTIPHON_VAULT_ROLE: kubernetes: the role to log in as."""

    role_id: str = ""
    """ANTIPHON_VAULT_ROLE_ID, or the content of ANTIPHON_VAULT_ROLE_ID_FILE: approle: no secret by itself."""

    role_id_file: str = ""

    secret_id_file: str = ""
    """ANTIPHON_VAULT_SECRET_ID_FILE: approle: file with the secret-id, or with a token that wraps it."""

    token_file: str = ""
    """ANTIPHON_VAULT_TOKEN_FILE: token-file: file with a token that somebody else keeps fresh."""

    jwt_file: str = KUBERNETES_TOKEN
    """ANTIPHON_VAULT_JWT_FILE: kubernetes: file with the service account's token."""

    poll_s: float = 5.0
    """ANTIPHON_VAULT_POLL_S: seconds between two looks, varied by a fifth. 5: a rotation is everywhere in 15 s."""

    max_staleness_s: float = 86400.0
    """ANTIPHON_VAULT_MAX_STALENESS_S: seconds for which a key is used though Vault does not confirm it. A day: an
    outage of Vault is not to become one of the gateway; shorter bounds the life of a revoked key."""

    stale_after_s: float = 60.0
    """ANTIPHON_VAULT_STALE_AFTER_S: seconds without confirmation after which `stale` is told. 60: longer than a
    restart of Vault takes."""

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the settings. Raises SettingError for the first that cannot be used."""
        return cls(
            address=_address(env),
            namespace=text(env, "ANTIPHON_VAULT_NAMESPACE", "").strip("/"),
            ca_file=text(env, "ANTIPHON_VAULT_CACERT", ""),
            mount=_path(env, "ANTIPHON_VAULT_MOUNT", "secret"),
            prefix=_path(env, "ANTIPHON_VAULT_PREFIX", "antiphon"),
            poll_s=seconds(env, "ANTIPHON_VAULT_POLL_S", 5.0, minimum=0.05, maximum=3600),
            max_staleness_s=seconds(env, "ANTIPHON_VAULT_MAX_STALENESS_S", 86400.0, minimum=1, maximum=30 * 86400),
            stale_after_s=seconds(env, "ANTIPHON_VAULT_STALE_AFTER_S", 60.0, minimum=0.1, maximum=30 * 86400),
            **_identity(env),
        )

    @property
    def login_mount(self) -> str:
        """Where to log in."""
        return self.auth_mount or self.auth


def _address(env: Env) -> str:
    name = "ANTIPHON_VAULT_ADDR"
    value = http_url(env, name, "").rstrip("/")
    if not value:
        raise SettingError(name, "", "not set, but a key is to come from Vault; use https://host:port")
    if value.startswith("http://") and not _LOOPBACK.fullmatch(value):
        if boolean(env, "ANTIPHON_VAULT_PLAINTEXT", False):
            return value
        problem = "keys would cross the network in plaintext; use https, or set ANTIPHON_VAULT_PLAINTEXT=true"
        raise SettingError(name, value, problem)
    return value


def _path(env: Env, name: str, default: str) -> str:
    value = text(env, name, default).strip("/")
    if not _PATH.fullmatch(value):
        raise SettingError(name, value, f"not a path; use names joined by /, or unset it for {default}")
    return value


def _identity(env: Env) -> dict[str, str]:
    auth = choice(env, "ANTIPHON_VAULT_AUTH", "approle", ("approle", "kubernetes", "token-file"))
    given = {
        "auth": auth,
        "auth_mount": text(env, "ANTIPHON_VAULT_AUTH_MOUNT", "").strip("/"),
        "role": text(env, "ANTIPHON_VAULT_ROLE", ""),
        "role_id": text(env, "ANTIPHON_VAULT_ROLE_ID", ""),
        "role_id_file": text(env, "ANTIPHON_VAULT_ROLE_ID_FILE", ""),
        "secret_id_file": text(env, "ANTIPHON_VAULT_SECRET_ID_FILE", ""),
        "token_file": text(env, "ANTIPHON_VAULT_TOKEN_FILE", ""),
        "jwt_file": text(env, "ANTIPHON_VAULT_JWT_FILE", KUBERNETES_TOKEN),
    }
    needed = {
        "approle": (("role_id", "role_id_file"), ("secret_id_file",)),
        "kubernetes": (("role",),),
        "token-file": (("token_file",),),
    }
    for names in needed[auth]:
        if not any(given[name] for name in names):
            name = f"ANTIPHON_VAULT_{names[-1].upper()}"
            raise SettingError(name, "", f"not set; ANTIPHON_VAULT_AUTH={auth} needs it")
    return given


@dataclass(frozen=True, slots=True)
class SlotReference:
    """A key in Vault: `<provider>/<slot>` below the prefix, and how much of the calls it gets beside others."""

    name: str
    weight: float = 1.0


def slot_references(reference: str) -> tuple[SlotReference, ...] | None:
    """What `vault:<provider>[/<slot>][=<weight>][,…]` names; None if it is no such thing."""
    scheme, _, rest = reference.partition(":")
    if scheme != "vault":
        return None
    found: list[SlotReference] = []
    for part in rest.split(","):
        match = _REFERENCE.fullmatch(part)
        if match is None or match["path"].endswith(STATE_SUFFIX) or match["weight"] == "0":
            return None
        path = match["path"]
        name = path if "/" in path else f"{path}/{DEFAULT_SLOT}"
        found.append(SlotReference(name, float(match["weight"] or 1)))
    return tuple(found) if len({each.name for each in found}) == len(found) else None
