"""Which services run here, with whose key, and what is said of those that do not."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from antiphon.config.v1 import suite_pb2
from antiphon_embedded.plan import Plan, key_variable, make_plan
from antiphon_embedded.settings import EnvFileError, LauncherSettings, with_env_file
from antiphon_kit.config import load_suite
from antiphon_kit.settings import ServiceSettings

ROUTES = Path(__file__).parents[1] / "antiphon.yaml"
VENDORS = ["openai", "anthropic", "cohere", "deepseek"]
KEYS = {
    "OPENAI_API_KEY": "o",
    "ANTHROPIC_API_KEY": "a",
    "VLLM_KEY": "v",
    "AWS_SECRET_ACCESS_KEY": "w",
    "ANTIPHON_EDGE_API_KEY": "e",
}
ENV = {**KEYS, "PATH": "/bin", "MAX_TOKENS": "9", "OPENAI_BASE_URL": "http://o", "DEFAULT_LLM": "local"}


def backend(name: str, *addresses: str, provider: str = "") -> suite_pb2.Backend:
    return suite_pb2.Backend(id=name, provider=provider or name, addresses=addresses)


def plan_of(
    suite: suite_pb2.Suite, env: dict[str, str] | None = None, installed: Callable[[str], bool] = lambda _: True
) -> Plan:
    env = ENV if env is None else env
    return make_plan(suite, LauncherSettings.from_env(env), env, installed)


def names(plan: Plan) -> list[str]:
    return [service.command.name for service in plan.services]


def test_each_loopback_address_is_a_process_and_the_router_comes_last() -> None:
    suite = suite_pb2.Suite(
        backends=[backend("local", "127.0.0.1:1", "localhost:2", "[::1]:3"), backend("openai", "127.0.0.1:4")]
    )
    plan = plan_of(suite)
    assert names(plan) == ["local-1", "local-2", "local-3", "openai", "router"]
    assert [service.command.env["ANTIPHON_LISTEN"] for service in plan.services] == [
        "127.0.0.1:1", "localhost:2", "[::1]:3", "127.0.0.1:4", "127.0.0.1:50050",
    ]  # fmt: skip
    assert [service.command.argv[-1] for service in plan.services][2:] == [
        "antiphon_provider_local", "antiphon_provider_openai", "antiphon_router",
    ]  # fmt: skip


def test_a_key_reaches_its_own_service_only() -> None:
    suite = suite_pb2.Suite(
        backends=[backend("local", "127.0.0.1:1"), backend("openai", "127.0.0.1:2"), backend("vllm", "127.0.0.1:3")],
        compat=[suite_pb2.CompatServer(name="vllm", base_url="http://v/v1", api_key="env:VLLM_KEY")],
    )
    seen = {service.command.name: set(service.command.env) & set(KEYS) for service in plan_of(suite).services}
    assert seen == {"local": set(), "openai": {"OPENAI_API_KEY"}, "vllm": {"VLLM_KEY"}, "router": set()}


def test_services_get_what_they_share_and_what_bears_their_name() -> None:
    plan = plan_of(suite_pb2.Suite(backends=[backend("local", "127.0.0.1:1"), backend("openai", "127.0.0.1:2")]))
    local, openai, router = (dict(service.command.env) for service in plan.services)
    assert all(env["MAX_TOKENS"] == "9" and env["PATH"] == "/bin" for env in (local, openai, router))
    assert "OPENAI_BASE_URL" in openai
    assert not {"OPENAI_BASE_URL"} & (local.keys() | router.keys())
    assert (router["DEFAULT_LLM"], openai["ANTIPHON_STATE_DOMAIN"]) == ("local", "openai")
    assert {"ANTIPHON_CONFIG", "ANTIPHON_ADMIN_LISTEN"} <= router.keys()


def test_a_compat_row_runs_the_compat_program() -> None:
    suite = suite_pb2.Suite(
        backends=[backend("here", "127.0.0.1:1", provider="ollama")],
        compat=[suite_pb2.CompatServer(name="ollama", base_url="http://localhost:11434/v1")],
    )
    command = plan_of(suite).providers[0].command
    assert (command.argv[-1], command.env["ANTIPHON_COMPAT_SERVER"]) == ("antiphon_provider_compat", "ollama")


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_backend_without_its_key_is_skipped_with_the_variable_to_set(value: str | None) -> None:
    suite = suite_pb2.Suite(
        backends=[backend("local", "127.0.0.1:1"), backend("oai", "127.0.0.1:2", provider="openai")]
    )
    plan = plan_of(suite, {} if value is None else {"OPENAI_API_KEY": value})
    assert names(plan) == ["local", "router"]
    assert [(one.name, one.why) for one in plan.skipped] == [
        ("oai", "no key; set OPENAI_API_KEY or OPENAI_API_KEY_FILE in .env")
    ]


def test_a_key_file_is_a_key() -> None:
    plan = plan_of(suite_pb2.Suite(backends=[backend("openai", "127.0.0.1:2")]), {"OPENAI_API_KEY_FILE": "/k"})
    assert plan.providers[0].command.env["OPENAI_API_KEY_FILE"] == "/k"


def test_what_runs_elsewhere_or_is_not_installed_is_said() -> None:
    suite = suite_pb2.Suite(backends=[backend("far", "dns:///far:1"), backend("local", "127.0.0.1:1")])
    plan = plan_of(suite, {}, lambda module: module != "antiphon_provider_local")
    assert [(one.name, one.elsewhere) for one in plan.skipped] == [("far", True), ("local", False)]
    assert "dns:///far:1" in plan.skipped[0].why
    assert "antiphon_provider_local is not installed" in plan.skipped[1].why


def test_a_compat_key_in_a_file_needs_no_variable() -> None:
    assert key_variable("x", suite_pb2.CompatServer(name="x", api_key="file:/k")) == ""


def test_the_environment_wins_over_the_env_file_unless_it_is_blank(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=file # why\nexport B='${A}$'\nC=file\n")
    assert with_env_file({"A": "env", "C": ""}, file) == {"A": "env", "B": "${A}$", "C": "file"}
    assert with_env_file({"A": "env"}, tmp_path / "none") == {"A": "env"}


@pytest.mark.parametrize("bad", ["OPENAI_API_KEY sk-secret", "=x", "B='open"])
def test_a_bad_line_of_the_env_file_is_named_and_not_shown(tmp_path: Path, bad: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"A=1\n\n{bad}\n")
    with pytest.raises(EnvFileError, match=r"\.env:3: not a line like NAME=value") as caught:
        with_env_file({}, file)
    assert "secret" not in str(caught.value)


def test_an_env_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"A=\xff\n")
    with pytest.raises(EnvFileError, match="UTF-8"):
        with_env_file({}, file)


def test_the_routes_that_come_with_the_suite_are_valid_and_run_without_any_key() -> None:
    plan = plan_of(load_suite(ROUTES), {})
    assert names(plan) == ["local-1", "local-2", "router"]
    assert [(one.name, one.why) for one in plan.skipped] == [
        (name, f"no key; set {name.upper()}_API_KEY or {name.upper()}_API_KEY_FILE in .env") for name in VENDORS
    ]


@pytest.mark.parametrize("name", VENDORS)
def test_a_key_is_all_that_they_need_to_run_a_vendor(name: str) -> None:
    plan = plan_of(load_suite(ROUTES), {f"{name.upper()}_API_KEY": "k"}, lambda module: find_spec(module) is not None)
    assert names(plan) == ["local-1", "local-2", name, "router"]
    assert plan.providers[-1].command.argv[-1] == f"antiphon_provider_{name}"


def test_what_is_commented_out_in_them_is_valid_too(tmp_path: Path) -> None:
    text = ROUTES.read_text()
    file = tmp_path / "antiphon.yaml"
    file.write_text(re.sub(r"^( *)# (?= *(?:- )?[a-z_]+:)", r"\1", text, flags=re.M))
    plan = plan_of(load_suite(file), {})
    assert names(plan) == ["local-1", "local-2", "ollama", "router"]


def test_every_variable_of_the_example_is_commented_out_and_known(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / ".env.example"
    assert with_env_file({}, example) == {}
    file = tmp_path / ".env"
    file.write_text(re.sub(r"^# (?=[A-Z_]+=)", "", example.read_text(), flags=re.M))
    env = with_env_file({}, file)
    assert {"OPENAI_API_KEY", "DEFAULT_LLM", "MAX_TOKENS", "LLM_TIMEOUT", "ANTIPHON_CONFIG"} <= env.keys()
    LauncherSettings.from_env(env)
    ServiceSettings.from_env(env)
