"""From what an operator writes to a ring of keys, and what he is told where it cannot be used."""

from pathlib import Path

import pytest

from antiphon_kit.key_ring import KeyRing
from antiphon_kit.key_sources import is_key_reference, known_ring, ring_from_reference
from antiphon_kit.settings import SettingError
from antiphon_kit.vault_settings import SlotReference, VaultSettings, slot_references

VAULT = {
    "ANTIPHON_VAULT_ADDR": "https://vault.example:8200/",
    "ANTIPHON_VAULT_ROLE_ID": "r",
    "ANTIPHON_VAULT_SECRET_ID_FILE": "/s",
}


async def value(keys: KeyRing | None) -> str:
    assert keys is not None
    async with keys.lease() as key:
        return key.secret.reveal()


async def slots(keys: KeyRing | None) -> list[tuple[str, float]]:
    assert keys is not None
    await keys._source.aclose()
    return [(slot.name, slot.weight) for slot in keys.slots]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("vault:openai", (SlotReference("openai/default"),)),
        ("vault:openai/team-a", (SlotReference("openai/team-a"),)),
        ("vault:openai/a=3,openai/b=1", (SlotReference("openai/a", 3.0), SlotReference("openai/b", 1.0))),
        ("vault:", None),
        ("vault:openai/a/b", None),
        ("vault:openai/a-state", None),
        ("vault:openai/a=0", None),
        ("vault:openai,openai/default", None),
        ("vault:../x", None),
        ("env:openai", None),
        ("", None),
    ],
)
def test_references_to_slots(reference: str, found: tuple[SlotReference, ...] | None) -> None:
    assert slot_references(reference) == found


async def test_any_form_of_reference(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("kf\n")
    assert await value(ring_from_reference("env:K", {"K": "ke"})) == "ke"
    assert await value(ring_from_reference(f"file:{tmp_path}/key", {})) == "kf"
    assert await slots(ring_from_reference("vault:openai/a=2,openai/b", VAULT)) == [
        ("openai/a", 2.0),
        ("openai/b", 1.0),
    ]
    assert ring_from_reference("", {}) is None
    assert is_key_reference("vault:p") and is_key_reference("env:K") and is_key_reference("")  # noqa: PT018
    assert not is_key_reference("sk-canary")
    with pytest.raises(SettingError, match=r"vault:<provider>/<slot>") as caught:
        ring_from_reference("sk-canary", {})
    assert "canary" not in str(caught.value)


async def test_a_known_vendor(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("kf")
    names = ("OURS_API_KEY", "SDKS_KEY")
    assert await value(known_ring({"OURS_API_KEY": "k1", "SDKS_KEY": "k2"}, "ours", *names)) == "k1"
    assert await value(known_ring({"SDKS_KEY": "k2"}, "ours", *names)) == "k2"
    file = {"OURS_API_KEY_FILE": str(tmp_path / "key"), "OURS_API_KEY": "k1"}
    assert await value(known_ring(file, "ours", *names)) == "kf"
    assert await slots(known_ring({**VAULT, "OURS_API_KEY": "vault:ours/x"}, "ours", *names)) == [("ours/x", 1.0)]
    assert await slots(known_ring(VAULT, "ours", *names)) == [("ours/default", 1.0)]
    assert await value(known_ring({**VAULT, "OURS_API_KEY": "k1"}, "ours", *names)) == "k1"
    with pytest.raises(Exception, match="OURS_API_KEY is not set"):
        await value(known_ring({}, "ours", *names))
    with pytest.raises(SettingError, match="not a reference to slots"):
        known_ring({**VAULT, "OURS_API_KEY": "vault:a b"}, "ours", *names)


def test_settings_of_the_store() -> None:
    settings = VaultSettings.from_env(VAULT)
    assert (settings.address, settings.mount, settings.prefix) == ("https://vault.example:8200", "secret", "antiphon")
    assert (settings.poll_s, settings.max_staleness_s, settings.login_mount) == (5.0, 86400.0, "approle")
    assert settings.stale_after_s == 60.0
    assert VaultSettings.from_env({**VAULT, "ANTIPHON_VAULT_STALE_AFTER_S": "10"}).stale_after_s == 10.0
    kubernetes = {
        "ANTIPHON_VAULT_ADDR": "http://127.0.0.1:1",
        "ANTIPHON_VAULT_AUTH": "Kubernetes",
        "ANTIPHON_VAULT_ROLE": "x",
        "ANTIPHON_VAULT_AUTH_MOUNT": "/k8s/",
        "ANTIPHON_VAULT_MOUNT": "/kv/team/",
    }
    settings = VaultSettings.from_env(kubernetes)
    assert (settings.login_mount, settings.mount) == ("k8s", "kv/team")
    plain = {**VAULT, "ANTIPHON_VAULT_ADDR": "http://vault:8200", "ANTIPHON_VAULT_PLAINTEXT": "true"}
    assert VaultSettings.from_env(plain).address == "http://vault:8200"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"ANTIPHON_VAULT_ADDR": ""}, "ANTIPHON_VAULT_ADDR"),
        ({"ANTIPHON_VAULT_ADDR": "http://vault:8200"}, "ANTIPHON_VAULT_ADDR"),
        ({"ANTIPHON_VAULT_ADDR": "http://127.0.0.1.evil:8200"}, "ANTIPHON_VAULT_ADDR"),
        ({"ANTIPHON_VAULT_ADDR": "https://user:x@vault"}, "ANTIPHON_VAULT_ADDR"),
        ({"ANTIPHON_VAULT_MOUNT": "../x"}, "ANTIPHON_VAULT_MOUNT"),
        ({"ANTIPHON_VAULT_PREFIX": "a//b"}, "ANTIPHON_VAULT_PREFIX"),
        ({"ANTIPHON_VAULT_ROLE_ID": ""}, "ANTIPHON_VAULT_ROLE_ID_FILE"),
        ({"ANTIPHON_VAULT_SECRET_ID_FILE": ""}, "ANTIPHON_VAULT_SECRET_ID_FILE"),
        ({"ANTIPHON_VAULT_AUTH": "kubernetes"}, "ANTIPHON_VAULT_ROLE"),
        ({"ANTIPHON_VAULT_AUTH": "token-file"}, "ANTIPHON_VAULT_TOKEN_FILE"),
        ({"ANTIPHON_VAULT_AUTH": "ldap"}, "ANTIPHON_VAULT_AUTH"),
        ({"ANTIPHON_VAULT_POLL_S": "0"}, "ANTIPHON_VAULT_POLL_S"),
        ({"ANTIPHON_VAULT_MAX_STALENESS_S": "x"}, "ANTIPHON_VAULT_MAX_STALENESS_S"),
    ],
)
def test_settings_that_cannot_be_used_are_named(changes: dict[str, str], name: str) -> None:
    with pytest.raises(SettingError) as caught:
        VaultSettings.from_env({**VAULT, **changes})
    assert caught.value.name == name
