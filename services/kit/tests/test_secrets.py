"""Secrets: no way of showing one but `reveal`, and sources that take a new value without losing the old one."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon_contract.errors import CallFailure, Reason
from antiphon_kit import secrets
from antiphon_kit.secrets import EnvSecret, FileSecret, Secret, from_reference, is_reference
from antiphon_kit.settings import SettingError

VALUE = "canary-0a1b2c3d4e5f"


@dataclasses.dataclass
class Holder:
    secret: Secret


def test_reveal_is_the_way_in() -> None:
    assert Secret(VALUE).reveal() == VALUE


@pytest.mark.parametrize(
    "show",
    [
        str,
        "{}".format,
        "%s".__mod__,
        lambda secret: f"{secret:>9}",
        lambda secret: "Bearer " + secret,
        json.dumps,
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        lambda secret: dataclasses.asdict(Holder(secret)),
        vars,
        iter,
        len,
        bytes,
        lambda secret: secret.__getstate__(),
    ],
    ids=lambda show: getattr(show, "__name__", "lambda"),
)
def test_other_ways_of_showing_are_errors_that_do_not_show(show: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as caught:
        show(Secret(VALUE))
    assert VALUE not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("show", [repr, ascii, "%r".__mod__, lambda secret: repr([secret]), lambda s: repr(Holder(s))])
def test_repr_is_blank_for_debuggers(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(VALUE))
    assert VALUE not in shown
    assert "<secret>" in shown


def test_a_traceback_with_locals_does_not_show_it() -> None:
    def fail(secret: Secret) -> None:
        raise RuntimeError("bug")

    try:
        fail(Secret(VALUE))
    except RuntimeError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "<secret>" in text
    assert VALUE not in text


def test_fingerprints_tell_values_apart_and_nothing_more() -> None:
    fingerprint = Secret(VALUE).fingerprint
    assert len(fingerprint) == 12
    assert int(fingerprint, 16) >= 0
    assert fingerprint == Secret(VALUE).fingerprint
    assert fingerprint != Secret(VALUE + "x").fingerprint
    secrets._fingerprint_key.cache_clear()
    assert fingerprint != Secret(VALUE).fingerprint, "the key must be this process's own"


async def missing(source: secrets.SecretSource) -> str:
    with pytest.raises(CallFailure) as caught:
        await source.current()
    assert caught.value.error.reason == Reason.ERROR_REASON_PROVIDER_CREDENTIALS
    return caught.value.error.message


async def test_env_secret() -> None:
    assert (await EnvSecret({"K": f" {VALUE}\n"}, "K").current()).reveal() == VALUE
    assert "K is not set; set it" in await missing(EnvSecret({"K": " "}, "K"))
    message = await missing(EnvSecret({"K": "two words"}, "K"))
    assert "two" not in message


async def test_env_secret_keeps_no_hold_on_the_environment() -> None:
    env = {"K": VALUE}
    source = EnvSecret(env, "K")
    env.clear()
    assert (await source.current()).reveal() == VALUE


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(secrets.time, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_file_secret_takes_a_new_value_within_a_second(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    source = FileSecret(path)
    first = await source.current()
    assert first.reveal() == "first"
    (tmp_path / "new").write_text("other")
    (tmp_path / "new").rename(path)
    clock.now_s += 0.9
    assert await source.current() is first, "read more than once a second"
    clock.now_s += 0.2
    assert (await source.current()).reveal() == "other"


async def test_file_secret_of_the_same_size_in_the_same_file_is_noticed(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "key"
    path.write_text("aaaa")
    source = FileSecret(path)
    await source.current()
    path.write_text("bbbb")
    clock.now_s += 1
    assert (await source.current()).reveal() == "bbbb"


@pytest.mark.parametrize("spoil", ["vanish", "empty", "blank", "binary", "two_lines", "huge", "directory"])
async def test_file_secret_keeps_the_last_good_value(
    spoil: str, tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key"
    path.write_text(VALUE)
    source = FileSecret(path)
    good = await source.current()
    path.unlink()
    contents = {"empty": b"", "blank": b" \n", "binary": b"\xff\x00", "two_lines": b"a\nb", "huge": b"x" * 17_000}
    if spoil == "directory":
        path.mkdir()
    elif spoil != "vanish":
        path.write_bytes(contents[spoil])
    for _ in range(3):
        clock.now_s += 1
        assert await source.current() is good
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1, "told once, not once a second"
    assert VALUE not in caplog.text
    if spoil == "directory":
        path.rmdir()
    path.write_text("healed")
    clock.now_s += 1
    assert (await source.current()).reveal() == "healed"


async def test_file_secret_that_comes_late_needs_no_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "key"
    source = FileSecret(path)
    message = await missing(source)
    assert "its key file does not exist; put the key into the configured file" in message
    assert str(path) not in message
    path.write_text(VALUE)
    assert (await source.current()).reveal() == VALUE


async def test_references() -> None:
    assert from_reference("", {}) is None
    env_source, file_source = from_reference("env:K", {"K": VALUE}), from_reference("file:/run/secrets/k", {})
    assert env_source is not None
    assert (await env_source.current()).reveal() == VALUE
    assert isinstance(file_source, FileSecret)


@pytest.mark.parametrize("reference", [VALUE, "env:", "env:a b", "file:relative", "file:", "vault:x", "ENV:K"])
def test_a_key_in_the_place_of_a_reference_is_refused_and_not_shown(reference: str) -> None:
    assert not is_reference(reference)
    with pytest.raises(SettingError, match="use env:NAME or file:/path") as caught:
        from_reference(reference, {})
    assert reference not in str(caught.value).replace("env:NAME or file:/path", "")


def test_it_has_no_dictionary_to_look_into() -> None:
    assert not hasattr(Secret(VALUE), "__dict__")
