"""Owns how a service is told its certificate, whom it takes calls from, and where plaintext is allowed."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self

from antiphon_contract.tls import SERVER_NAME, TlsFiles
from antiphon_kit.settings import Env, SettingError, boolean, text
from antiphon_kit.vault_settings import VaultSettings

FILES: Final = ("ANTIPHON_TLS_CERT_FILE", "ANTIPHON_TLS_KEY_FILE", "ANTIPHON_TLS_CA_FILE")
ISSUER: Final = "ANTIPHON_TLS_ISSUER"
_PEER: Final = re.compile(r"spiffe://[A-Za-z0-9.*?_/-]+")
_IDENTITY: Final = re.compile(r"spiffe://[A-Za-z0-9._/-]+")
_ISSUER: Final = re.compile(r"vault:(?P<mount>[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*)/(?P<role>[A-Za-z0-9_.-]+)")
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """An authority in Vault and the identity to ask it with."""

    mount: str
    role: str
    identity: str
    """ANTIPHON_TLS_IDENTITY: the SPIFFE id to ask for. spiffe://antiphon/<role without antiphon->: what
    deploy/vault/bootstrap.py allows."""

    vault: VaultSettings
    """As for keys. ANTIPHON_TLS_SECRET_ID_FILE: another AppRole secret-id, because one that is wrapped opens once."""

    server_name: str = SERVER_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """What a service takes from its environment about its connections. Nothing set: plaintext, on loopback only."""

    files: TlsFiles | None = None
    """ANTIPHON_TLS_CERT_FILE, ANTIPHON_TLS_KEY_FILE, ANTIPHON_TLS_CA_FILE: PEM files, all or none. Read again when
    they change. With them callers need a certificate. ANTIPHON_TLS_SERVER_NAME: for whom the certificates of the
    services that this one calls have to be; antiphon by default."""

    issuer: IssuerSettings | None = None
    """ANTIPHON_TLS_ISSUER: `vault:<mount>/<role>` instead of the files: certificates of Vault's authority."""

    peers: tuple[str, ...] = ()
    """ANTIPHON_TLS_PEERS: who may call: SPIFFE ids or patterns, separated by commas: `spiffe://antiphon/router`.
    Empty: whoever has a certificate of the authority."""

    insecure: bool = False
    """ANTIPHON_INSECURE: `true` allows plaintext beyond loopback: where a mesh encrypts, or for a try."""

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the settings. Raises SettingError for the first value that cannot be used."""
        files, issuer = _files(env), _issuer(env)
        if files is not None and issuer is not None:
            raise SettingError(ISSUER, text(env, ISSUER, ""), f"set beside {FILES[0]}; unset one of the two")
        peers = peers_of(env, "ANTIPHON_TLS_PEERS")
        if peers and files is None and issuer is None:
            problem = f"without certificates nobody can be told apart; set {', '.join(FILES)}, or {ISSUER}"
            raise SettingError("ANTIPHON_TLS_PEERS", ",".join(peers), problem)
        return cls(files=files, issuer=issuer, peers=peers, insecure=boolean(env, "ANTIPHON_INSECURE", False))


def _files(env: Env) -> TlsFiles | None:
    paths = [text(env, name, "") for name in FILES]
    if not any(paths):
        return None
    for name, path in zip(FILES, paths, strict=True):
        if not path:
            given = " and ".join(other for other, value in zip(FILES, paths, strict=True) if value)
            raise SettingError(name, "", f"not set, but {given} is; set all of {', '.join(FILES)}, or none")
    certificate, key, authorities = paths
    return TlsFiles(certificate, key, authorities, server_name(env))


def server_name(env: Env) -> str:
    """The DNS name that the certificates of servers have to have."""
    name = "ANTIPHON_TLS_SERVER_NAME"
    value = text(env, name, SERVER_NAME)
    if not _NAME.fullmatch(value):
        raise SettingError(name, value, f"not a DNS name; unset it for {SERVER_NAME}")
    return value


def peers_of(env: Env, name: str) -> tuple[str, ...]:
    """A list of SPIFFE ids, in which `*` and `?` stand for anything and for any one character."""
    value = text(env, name, "")
    peers = tuple(peer.strip() for peer in value.split(",") if peer.strip())
    for peer in peers:
        if not _PEER.fullmatch(peer):
            raise SettingError(name, value, "not SPIFFE ids; use spiffe://antiphon/router, with commas between several")
    return peers


def _issuer(env: Env) -> IssuerSettings | None:
    value = text(env, ISSUER, "")
    if not value:
        return None
    match = _ISSUER.fullmatch(value)
    if match is None:
        raise SettingError(
            ISSUER, value, "not an issuer; use vault:<mount>/<role>, as vault:antiphon-pki/antiphon-router"
        )
    role = match["role"]
    identity = text(env, "ANTIPHON_TLS_IDENTITY", f"spiffe://antiphon/{role.removeprefix('antiphon-')}")
    if not _IDENTITY.fullmatch(identity):
        raise SettingError("ANTIPHON_TLS_IDENTITY", identity, "not a SPIFFE id; use spiffe://antiphon/router")
    secret_id_file = text(env, "ANTIPHON_TLS_SECRET_ID_FILE", env.get("ANTIPHON_VAULT_SECRET_ID_FILE", ""))
    vault = VaultSettings.from_env({**env, "ANTIPHON_VAULT_SECRET_ID_FILE": secret_id_file})
    return IssuerSettings(mount=match["mount"], role=role, identity=identity, vault=vault, server_name=server_name(env))


def is_loopback(address: str) -> bool:
    """Whether what listens at `host:port` can be reached from this machine only."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
