"""Settings: what counts as which value, and that an error says name, value, fault and remedy in one line."""

import dataclasses
import inspect
import re

import pytest

from antiphon_kit import settings
from antiphon_kit.settings import ServiceSettings, SettingError, address, boolean, choice, http_url, integer, seconds
from antiphon_kit.settings import text as text_of


def test_an_empty_environment_gives_the_defaults() -> None:
    assert ServiceSettings.from_env({}) == ServiceSettings()


def test_every_setting_is_read_from_its_variable() -> None:
    env = {
        "ANTIPHON_LISTEN": "0.0.0.0:7000",
        "ANTIPHON_LOG_LEVEL": "DEBUG",
        "ANTIPHON_LOG_FORMAT": "text",
        "ANTIPHON_DRAIN_LAMEDUCK_S": "1.5",
        "ANTIPHON_DRAIN_GRACE_S": "10",
        "ANTIPHON_MAX_CONCURRENCY": "8",
        "ANTIPHON_MAX_REQUEST_BYTES": "4096",
        "ANTIPHON_STATE_DOMAIN": "openai-a",
        "MAX_TOKENS": "100",
        "ANTIPHON_CONNECT_TIMEOUT_S": "0.5",
        "ANTIPHON_FIRST_EVENT_TIMEOUT_S": "20",
        "ANTIPHON_BETWEEN_EVENTS_TIMEOUT_S": "7",
        "ANTIPHON_KEEPALIVE_S": "3",
        "LLM_TIMEOUT": "120",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317",
    }
    read = ServiceSettings.from_env(env)
    assert read == ServiceSettings(
        listen="0.0.0.0:7000",
        log_level="debug",
        log_format="text",
        drain_lameduck_s=1.5,
        drain_grace_s=10,
        max_concurrency=8,
        max_request_bytes=4096,
        state_domain="openai-a",
        max_output_tokens=100,
        connect_timeout_s=0.5,
        first_event_timeout_s=20,
        between_events_timeout_s=7,
        keepalive_s=3,
        total_timeout_s=120,
        otlp_endpoint="http://localhost:4317",
    )
    default = ServiceSettings()
    unchanged = [
        field.name for field in dataclasses.fields(default) if getattr(read, field.name) == getattr(default, field.name)
    ]
    assert unchanged == []


def test_every_field_is_documented_with_its_variable() -> None:
    source = inspect.getsource(ServiceSettings)
    for field in dataclasses.fields(ServiceSettings):
        assert re.search(rf'\n    {field.name}: .*\n    """[A-Z_]+: ', source), field.name


def test_blank_counts_as_unset_and_blanks_around_a_value_do_not_count() -> None:
    assert ServiceSettings.from_env({"MAX_TOKENS": "  ", "ANTIPHON_LISTEN": ""}) == ServiceSettings()
    assert integer({"N": " 7 "}, "N", 1, 0, 9) == 7
    assert text_of({"N": " a b "}, "N", "d") == "a b"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTIPHON_LISTEN", "7000"),
        ("ANTIPHON_LISTEN", "localhost:"),
        ("ANTIPHON_LISTEN", "localhost:65536"),
        ("ANTIPHON_LISTEN", "http://localhost:1"),
        ("ANTIPHON_LISTEN", "::1:7000"),
        ("ANTIPHON_LOG_LEVEL", "loud"),
        ("ANTIPHON_LOG_FORMAT", "xml"),
        ("ANTIPHON_DRAIN_GRACE_S", "-1"),
        ("ANTIPHON_DRAIN_GRACE_S", "30s"),
        ("ANTIPHON_DRAIN_GRACE_S", "nan"),
        ("ANTIPHON_DRAIN_GRACE_S", "inf"),
        ("ANTIPHON_MAX_CONCURRENCY", "0"),
        ("ANTIPHON_MAX_CONCURRENCY", "2.5"),
        ("ANTIPHON_MAX_REQUEST_BYTES", "64MiB"),
        ("ANTIPHON_STATE_DOMAIN", "a;hard"),
        ("MAX_TOKENS", "-1"),
        ("MAX_TOKENS", "many"),
        ("LLM_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317/?a=b"),
    ],
)
def test_a_wrong_value_gives_one_line_with_name_value_and_remedy(name: str, value: str) -> None:
    with pytest.raises(SettingError) as caught:
        ServiceSettings.from_env({name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}={value!r}: ")
    assert "; " in message
    assert "\n" not in message
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_API_KEY", "short"),
        ("api_key", "short"),
        ("MAX_TOKENS", "sk-proj-0123456789"),
        ("LLM_TIMEOUT", "0123456789abcdef0123456789abcdef"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:pw@host:4317"),
        ("ANTIPHON_LISTEN", "Bearer abc"),
    ],
)
def test_what_may_be_a_secret_is_not_shown(name: str, value: str) -> None:
    message = str(SettingError(name, value, "wrong; mend it"))
    assert message == f"{name}=(not shown): wrong; mend it"


def test_long_and_multi_line_values_are_cut_and_quoted() -> None:
    message = str(SettingError("NAME", "a\n" + "b " * 100, "wrong; mend it"))
    assert "\n" not in message
    assert len(message) < 120


@pytest.mark.parametrize("value", ["[::1]:7000", "127.0.0.1:0", "a-b.example_1:65535", "[fe80::1%eth0]:1"])
def test_addresses(value: str) -> None:
    assert address({"A": value}, "A", "x:1") == value


@pytest.mark.parametrize(
    ("value", "meant"), [("true", True), ("ON", True), ("1", True), ("no", False), ("False", False)]
)
def test_booleans(value: str, meant: bool) -> None:
    assert boolean({"B": value}, "B", not meant) is meant
    assert boolean({}, "B", meant) is meant
    with pytest.raises(SettingError, match="use true or false"):
        boolean({"B": "maybe"}, "B", meant)


def test_bounds_are_included() -> None:
    assert integer({"N": "5"}, "N", 1, 5, 5) == 5
    assert seconds({"N": "0.5"}, "N", 1, 0.5, 0.5) == 0.5


def test_choices_and_urls() -> None:
    assert choice({"C": "B"}, "C", "a", ("a", "b")) == "b"
    assert http_url({}, "U", "") == ""
    assert http_url({"U": "https://h/v1"}, "U", "") == "https://h/v1"


def test_the_module_never_looks_at_the_process_environment() -> None:
    assert not hasattr(settings, "os")
