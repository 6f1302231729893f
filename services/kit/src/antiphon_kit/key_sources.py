"""Owns the way from what an operator configures to a ring of keys: a variable, a file, or slots in Vault.

Forbids itself: importing the Vault client where no key comes from Vault.
"""

from typing import Final

from antiphon_kit.key_ring import KeyRing
from antiphon_kit.secrets import REFERENCE_FORMS, EnvSecret, FileSecret, from_reference, is_reference
from antiphon_kit.settings import Env, SettingError, text
from antiphon_kit.vault_settings import SlotReference, VaultSettings, slot_references

KEY_REFERENCE_FORMS: Final = f"{REFERENCE_FORMS}, or vault:<provider>/<slot>"


def is_key_reference(reference: str) -> bool:
    """Whether `reference` has a form that `ring_from_reference` takes."""
    return is_reference(reference) or slot_references(reference) is not None


def ring_from_reference(reference: str, env: Env, name: str = "api_key") -> KeyRing | None:
    """The keys that `env:NAME`, `file:/path` or `vault:<provider>/<slot>` stand for; None for "", no key at all.

    `vault:` takes several slots, each with a weight if need be: `vault:openai/team-a=3,openai/team-b=1`.
    Raises SettingError, which does not show `reference`: people write the key itself there. Needs a running loop.
    """
    if slots := slot_references(reference):
        return _vault_ring(slots, env)
    if not is_reference(reference):
        raise SettingError(name, reference, f"not a reference to a key; use {KEY_REFERENCE_FORMS}")
    source = from_reference(reference, env, name)
    return KeyRing.of(source) if source is not None else None


def known_ring(env: Env, provider: str, *names: str) -> KeyRing:
    """The keys of a known vendor. `names`: its variables, of which the first that is set counts.

    <NAME>_FILE: file with the key, read again when it changes; wins. <NAME>: the key itself, or a reference
    `vault:<provider>/<slot>`. Neither, but ANTIPHON_VAULT_ADDR: `vault:<provider>/default`. Needs a running loop.
    """
    for name in names:
        if file := text(env, f"{name}_FILE", ""):
            return KeyRing.of(FileSecret(file))
    name = next((name for name in names if text(env, name, "")), names[0])
    value = text(env, name, "")
    if value.startswith("vault:"):
        slots = slot_references(value)
        if slots is None:
            raise SettingError(name, value, "not a reference to slots in Vault; use vault:<provider>/<slot>")
        return _vault_ring(slots, env)
    if not value and text(env, "ANTIPHON_VAULT_ADDR", ""):
        return _vault_ring(slot_references(f"vault:{provider}") or (), env)
    return KeyRing.of(EnvSecret(env, name))


def _vault_ring(slots: tuple[SlotReference, ...], env: Env) -> KeyRing:
    settings = VaultSettings.from_env(env)
    try:
        from antiphon_kit.vault_keys import vault_ring
    except ImportError:
        problem = "the Vault client is not installed; install antiphon-kit[vault], or give the key in a file"
        raise SettingError("ANTIPHON_VAULT_ADDR", settings.address, problem) from None
    return vault_ring(settings, slots)
