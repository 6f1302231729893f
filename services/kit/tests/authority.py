"""Owns an authority for tests, and the certificate files of the parties in them."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from antiphon_contract.tls import SERVER_NAME, TlsFiles

PEM = serialization.Encoding.PEM
ROUTER = "spiffe://antiphon/router"
PROVIDER = "spiffe://antiphon/openai"
CALLER = "spiffe://antiphon/caller"


class Authority:
    """Signs certificates, good for a day from yesterday on unless told otherwise."""

    def __init__(self, name: str = "tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.pem = self._signed(self._name, self._key.public_key(), ca=True).public_bytes(PEM).decode()

    def issue(
        self, *ids: str, dns: tuple[str, ...] = (SERVER_NAME,), days: tuple[float, float] = (-1, 1)
    ) -> tuple[str, str]:
        """A certificate and its key for SPIFFE ids and DNS names, good from `days` to `days` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [*map(x509.DNSName, dns), *map(x509.UniformResourceIdentifier, ids)]
        signed = self._signed(x509.Name([]), key.public_key(), names=names, days=days)
        plain = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return signed.public_bytes(PEM).decode(), plain.decode()

    def files(self, directory: Path, *ids: str, trusts: "Authority | None" = None, **how: object) -> TlsFiles:
        """The files of a new party in its `directory`."""
        directory.mkdir(exist_ok=True)
        files = TlsFiles(*(str(directory / name) for name in ("tls.crt", "tls.key", "ca.crt")))
        write(files, *self.issue(*ids, **how), (trusts or self).pem)
        return files

    def _signed(self, name, key, *, names=(), ca=False, days=(-1, 1)) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        start, end = (now + datetime.timedelta(days=day) for day in days)
        building = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            # They tell authorities of one name apart, as a rotation has them.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            building = building.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return building.sign(self._key, hashes.SHA256())


def write(files: TlsFiles, certificate: str, key: str, authorities: str) -> None:
    """Replace the files one after the other, as issuers do."""
    for path, content in ((files.authorities, authorities), (files.certificate, certificate), (files.key, key)):
        fresh = Path(f"{path}.new")
        fresh.write_text(content)
        fresh.replace(path)
