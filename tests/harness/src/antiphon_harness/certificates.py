"""Owns the certificates of a test: authorities in the secret store, and the files of the parties, replaced at will."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import hvac

from antiphon_contract.tls import SERVER_NAME, TlsFiles
from antiphon_harness.secret_store import SecretStore

IDENTITY: Final = "spiffe://antiphon/"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate and its key, as PEM."""

    certificate: str
    key: str


class Authority:
    """One authority. Create it with `made`."""

    def __init__(self, store: SecretStore, mount: str, pem: str) -> None:
        self._store = store
        self._mount = mount
        self.pem = pem

    @classmethod
    async def made(cls, store: SecretStore, name: str) -> "Authority":
        """A new one in the store."""
        return cls(store, name, await store.ask(partial(_make, mount=name)))

    async def leaf(self, party: str, *, server: bool, ttl: str = "12h") -> Leaf:
        """For `spiffe://antiphon/<party>`."""
        return await self._store.ask(partial(_issue, mount=self._mount, party=party, server=server, ttl=ttl))


def _make(root: hvac.Client, *, mount: str) -> str:
    root.sys.enable_secrets_engine("pki", path=mount, config={"max_lease_ttl": "87600h"})
    key = {"key_type": "ec", "key_bits": 256}
    made = root.secrets.pki.generate_root(
        "internal", f"antiphon {mount}", extra_params={"ttl": "8760h", **key}, mount_point=mount
    )
    rules = {
        "allow_any_name": True,
        "allowed_uri_sans": [f"{IDENTITY}*"],
        "require_cn": False,
        "not_before_duration": "30s",
        "server_flag": True,
        "client_flag": True,
        **key,
    }
    root.secrets.pki.create_or_update_role("party", rules, mount_point=mount)
    return str(made["data"]["certificate"])


def _issue(root: hvac.Client, *, mount: str, party: str, server: bool, ttl: str) -> Leaf:
    wanted = {"uri_sans": f"{IDENTITY}{party}", "ttl": ttl}
    if server:
        wanted["alt_names"] = SERVER_NAME
    made = root.secrets.pki.generate_certificate("party", "", extra_params=wanted, mount_point=mount)["data"]
    return Leaf(str(made["certificate"]), str(made["private_key"]))


class Party:
    """Somebody with a certificate in files. `server`: others connect to it."""

    def __init__(self, directory: Path, name: str, *, server: bool) -> None:
        folder = directory / name
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.server = server
        self.files = TlsFiles(*(str(folder / file) for file in ("tls.crt", "tls.key", "ca.crt")))

    @property
    def settings(self) -> dict[str, str]:
        """For a service of the product."""
        files = self.files
        return {
            "ANTIPHON_TLS_CERT_FILE": files.certificate,
            "ANTIPHON_TLS_KEY_FILE": files.key,
            "ANTIPHON_TLS_CA_FILE": files.authorities,
        }

    def trust(self, *authorities: Authority) -> None:
        """Whose certificates it takes from now on."""
        _replace(self.files.authorities, "\n".join(one.pem for one in authorities))

    async def show(self, authority: Authority, **how: str) -> None:
        """A new certificate from now on."""
        leaf = await authority.leaf(self.name.partition("-")[0], server=self.server, **how)
        _replace(self.files.certificate, leaf.certificate)
        _replace(self.files.key, leaf.key)


def _replace(path: str, content: str) -> None:
    fresh = Path(f"{path}.new")
    fresh.write_text(content, encoding="ascii")
    fresh.replace(path)


async def shown(address: str, party: Party, trusted: Sequence[Authority]) -> bytes:
    """The certificate that the server at `address` shows to `party`, in DER form. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata="\n".join(one.pem for one in trusted))
    context.load_cert_chain(party.files.certificate, party.files.key)
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=SERVER_NAME)
    try:
        return bytes(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    finally:
        writer.close()


def der(party: Party) -> bytes:
    """The certificate in the files of `party`."""
    return ssl.PEM_cert_to_DER_cert(Path(party.files.certificate).read_text(encoding="ascii"))
