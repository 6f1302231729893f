"""Settings of the coordinator: defaults, and what is refused with its name."""

from pathlib import Path

import pytest

from antiphon_keys.rotation import Pace
from antiphon_keys.settings import KeysSettings
from antiphon_kit.settings import SettingError

ENV = {
    "ANTIPHON_VAULT_ADDR": "http://127.0.0.1:8200",
    "ANTIPHON_VAULT_ROLE_ID": "r",
    "ANTIPHON_VAULT_SECRET_ID_FILE": "/s",
    "ANTIPHON_CONFIG": "routes.yaml",
}


def test_defaults() -> None:
    settings = KeysSettings.from_env(ENV)
    assert settings.service.listen == "127.0.0.1:50052"
    assert (settings.config, settings.watch, settings.pace) == (Path("routes.yaml"), (), Pace())


def test_processes_can_be_named_instead() -> None:
    settings = KeysSettings.from_env({**ENV, "ANTIPHON_CONFIG": "", "ANTIPHON_KEYS_WATCH": "a=h:1, dns:///n:2,"})
    assert settings.watch == (("h:1", "a"), ("dns:///n:2", ""))


def test_the_pace_can_be_set() -> None:
    quick = {"ANTIPHON_KEYS_SHARES": "0.5,1", "ANTIPHON_KEYS_STEP_SUCCESSES": "2", "ANTIPHON_KEYS_GRACE_S": "0"}
    assert KeysSettings.from_env({**ENV, **quick}).pace == Pace((0.5, 1.0), 2, 30.0, 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTIPHON_CONFIG", ""),
        ("ANTIPHON_KEYS_WATCH", "nowhere"),
        ("ANTIPHON_KEYS_SHARES", "0.5"),
        ("ANTIPHON_KEYS_SHARES", "0,1"),
        ("ANTIPHON_KEYS_SHARES", "0.5,0.1,1"),
        ("ANTIPHON_KEYS_SHARES", "all"),
        ("ANTIPHON_KEYS_STEP_SUCCESSES", "0"),
        ("ANTIPHON_VAULT_ADDR", ""),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError) as caught:
        KeysSettings.from_env({**ENV, name: value})
    assert caught.value.name == name
