"""Certificate files are taken as a whole or not at all; failed handshakes are told apart."""

import os
from pathlib import Path

import pytest
from authority import ROUTER, Authority, write
from cryptography.hazmat.primitives import serialization

from antiphon_contract import tls
from antiphon_contract.tls import LivePems, TlsFiles, TlsProblem


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def files(authority, tmp_path) -> TlsFiles:
    return authority.files(tmp_path / "router", ROUTER)


def test_new_files_are_taken_as_soon_as_they_fit(authority, files):
    live = LivePems(files)
    before = live.pems
    assert live.renew() is before
    certificate, key = authority.issue(ROUTER)
    write(files, certificate, Path(files.key).read_text(), authority.pem)
    assert live.renew() is before
    assert "do not fit" in live.problem
    write(files, certificate, key, authority.pem)
    assert live.renew().certificate_chain == certificate.encode()
    assert live.problem == ""


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("key", "", "empty"),
        ("key", "-----BEGIN PRIVATE KEY-----\nMIG", "do not fit"),
        ("certificate", "x", "do not fit"),
        ("authorities", "-----BEGIN CERTIFICATE-----\nMIIB", "no certificates of authorities"),
        ("authorities", "ü", "no certificates of authorities"),
    ],
)
def test_a_broken_file_leaves_the_last_good_ones_in_use_and_is_named(files, name, content, told, caplog):
    live = LivePems(files)
    before = live.pems
    path = getattr(files, name)
    Path(path).write_text(content, encoding="utf-8")
    for _ in range(3):
        assert live.renew() is before
    assert path in live.problem
    assert told in live.problem
    assert [record.message for record in caplog.records] == ["certificate_not_renewed"]


def test_a_missing_file_is_named_at_start_and_does_not_matter_later(files):
    live = LivePems(files)
    os.unlink(files.key)
    assert live.renew() is live.pems
    assert "cannot be read" in live.problem
    with pytest.raises(TlsProblem, match=r"tls\.key: cannot be read"):
        LivePems(files)


def test_an_encrypted_key_is_refused_instead_of_asked_for(files):
    key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    Path(files.key).write_bytes(pem)
    with pytest.raises(TlsProblem, match="encrypted"):
        files.read()


def test_files_that_change_while_they_are_read_are_not_used(files, monkeypatch):
    told = iter([(None,), ((1, 1, 1),)])
    monkeypatch.setattr(TlsFiles, "signature", lambda self: next(told))
    with pytest.raises(TlsProblem, match="being written"):
        files.read()


def test_a_link_that_leads_elsewhere_is_noticed(authority, files, tmp_path):
    """As Kubernetes swaps mounted secrets."""
    link = tmp_path / "current"
    link.symlink_to(tmp_path / "router")
    live = LivePems(TlsFiles(*(str(link / name) for name in ("tls.crt", "tls.key", "ca.crt"))))
    before = live.pems
    authority.files(tmp_path / "next", ROUTER)
    fresh = tmp_path / "fresh"
    fresh.symlink_to(tmp_path / "next")
    fresh.replace(link)
    assert live.renew() is not before


def test_the_key_is_in_no_repr(files):
    assert "PRIVATE" not in repr(files.read())


REFUSED = "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed"


@pytest.mark.parametrize(
    ("details", "secure", "told"),
    [
        (REFUSED, True, tls.REFUSED),
        (
            "connections to all backends failing; last error: UNAVAILABLE: x: Connection reset by peer",
            True,
            tls.REFUSED,
        ),
        (REFUSED, False, ""),
        ("failed to connect to all addresses; last error: UNKNOWN: Connection refused", True, ""),
        ("Socket closed", True, ""),
        (
            "connections to all backends failing; last error: UNKNOWN: Tls handshake failed: WRONG_VERSION_NUMBER",
            True,
            "speak TLS",
        ),
        (
            "failed to connect to all addresses; last error: UNKNOWN: Hostname Verification Check failed.",
            True,
            "another name",
        ),
        (
            "connections to all backends failing; last error: UNKNOWN: Tls handshake failed: certificate has expired",
            True,
            "expired",
        ),
    ],
)
def test_what_the_transport_says_of_a_handshake_is_put_in_words(details, secure, told):
    found = tls.explanation(details, secure=secure)
    assert told in found
    assert bool(found) == bool(told)
