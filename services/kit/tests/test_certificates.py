"""Certificates of Vault's authority: asked for as the role allows, renewed in time, in files that only we can read."""

import asyncio
import datetime
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import PROVIDER, ROUTER, Authority
from cryptography import x509
from openbao import Bank

from antiphon_contract.tls import LivePems
from antiphon_embedded.vault_server import running_vault
from antiphon_kit import certificates
from antiphon_kit.certificates import Issuer, issuing
from antiphon_kit.tls_settings import IssuerSettings, TlsSettings
from antiphon_kit.transport import connected
from antiphon_kit.vault_client import Trouble, VaultClient, VaultTrouble
from antiphon_kit.vault_settings import VaultSettings

pytestmark = pytest.mark.timeout(60)
SETTINGS = IssuerSettings(
    mount="pki", role="antiphon-openai", identity=PROVIDER, vault=VaultSettings(address="https://vault:8200")
)


class Desk:
    """Plays answers, the last one for ever; a VaultTrouble is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[object] = []
        self.closed = False

    def issue(self, mount, role, wanted):
        self.asked.append((mount, role, wanted))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, VaultTrouble):
            raise answer
        return answer

    def close(self):
        self.closed = True


def answer(authority: Authority, life_s: float = 86400, **changes: object) -> dict[str, object]:
    certificate, key = authority.issue(PROVIDER)
    given = {"certificate": certificate, "private_key": key, "ca_chain": [authority.pem]}
    return {**given, "expiration": int(time.time() + life_s), **changes}


def test_the_files_are_whole_private_and_due_at_two_thirds(tmp_path):
    authority = Authority()
    desk = Desk(answer(authority, 900))
    issuer = Issuer(SETTINGS, tmp_path, desk)
    assert 590 < issuer.issue() <= 600
    pems = LivePems(issuer.files).pems
    assert authority.pem.encode() in pems.authorities
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    wanted = {"alt_names": "antiphon,antiphon-openai", "uri_sans": PROVIDER, "ttl": "24h"}
    assert desk.asked == [("pki", "antiphon-openai", wanted)]


def test_a_server_without_chain_gives_its_authority(tmp_path):
    authority = Authority()
    issuer = Issuer(SETTINGS, tmp_path, Desk(answer(authority, ca_chain=None, issuing_ca=authority.pem)))
    issuer.issue()
    assert issuer.files.read().authorities.decode() == authority.pem


def test_the_authority_of_before_stays_trusted(tmp_path):
    first, second = Authority("first"), Authority("second")
    issuer = Issuer(SETTINGS, tmp_path, Desk(answer(first), answer(first), answer(second)))
    for _ in range(3):
        issuer.issue()
    assert issuer.files.read().authorities.decode() == second.pem + first.pem


@pytest.mark.parametrize("given", [None, {}, "x", {"certificate": "c", "private_key": "k", "ca_chain": ["a"]}])
def test_an_answer_of_another_kind_is_told(tmp_path, given):
    with pytest.raises(VaultTrouble, match="no certificate"):
        Issuer(SETTINGS, tmp_path, Desk(given)).issue()
    assert not list(tmp_path.iterdir())


async def test_the_first_is_waited_for_and_others_come_in_time(monkeypatch, caplog):
    monkeypatch.setattr(certificates, "FIRST_RETRY_S", 0.01)
    trouble = VaultTrouble(Trouble.SEALED, "sealed; unseal it")
    authority = Authority()
    desk = Desk(trouble, trouble, answer(authority, 0), answer(authority, 0), trouble, answer(authority))
    async with issuing(SETTINGS, desk) as files:
        live = LivePems(files)
        first = live.pems
        while len(desk.asked) < 6 or live.renew() is first:  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.01)
        directory = Path(files.key).parent
    assert desk.closed
    assert not directory.exists()
    assert [record.message for record in caplog.records].count("certificate_not_issued") == 3


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    directory = tmp_path_factory.mktemp("vault")
    with running_vault(directory) as server:
        bank = Bank(server, directory / "login")
        bank.bootstrap("openai")
        yield bank


async def test_a_service_gets_its_own_certificate_from_openbao_and_no_other(bank):
    env = {
        "ANTIPHON_TLS_ISSUER": "vault:antiphon-pki/antiphon-openai",
        "ANTIPHON_VAULT_ADDR": bank.server.address,
        "ANTIPHON_VAULT_ROLE_ID_FILE": str(bank.logins / "openai.role-id"),
        "ANTIPHON_TLS_SECRET_ID_FILE": str(bank.logins / "openai.tls-secret-id"),
    }
    settings = TlsSettings.from_env(env)
    async with connected(settings) as transport:
        certificate = x509.load_pem_x509_certificate(transport.live.pems.certificate_chain)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [PROVIDER]
    assert "antiphon" in names.get_values_for_type(x509.DNSName)
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert life <= datetime.timedelta(hours=24, minutes=1)
    bank.bootstrap("openai")
    client = VaultClient(settings.issuer.vault)
    try:
        for role, identity, told in (
            ("antiphon-router", ROUTER, Trouble.DENIED),
            ("antiphon-openai", ROUTER, Trouble.BROKEN),
        ):
            with pytest.raises(VaultTrouble) as raised:
                client.issue("antiphon-pki", role, {"uri_sans": identity})
            assert raised.value.kind is told
    finally:
        client.close()
