import pytest

from antiphon_kit.settings import ServiceSettings, SettingError
from antiphon_provider_compat.settings import CompatSettings

ROUTES = """
backends: [{id: ollama, provider: ollama, addresses: ["localhost:1"]}]
compat:
  - {name: ollama, base_url: "http://localhost:11434/v1/"}
  - {name: vllm, base_url: "http://gpu:8000/v1", api_key: "env:VLLM_KEY", max_tokens_field: max_completion_tokens,
     stream_usage: false}
"""


@pytest.fixture
def env(tmp_path):
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES)
    return {"ANTIPHON_CONFIG": str(file), "VLLM_KEY": "secret-of-vllm"}


def test_a_row_becomes_a_dialect(env):
    settings = CompatSettings.from_env({**env, "ANTIPHON_COMPAT_SERVER": "ollama"})
    assert settings.keys is None
    dialect = settings.dialect
    assert (dialect.name, dialect.base_url) == ("ollama", "http://localhost:11434/v1")
    assert (dialect.max_tokens_field, dialect.stream_usage) == ("max_tokens", True)
    assert "developer_role" in dialect.lacks


async def test_what_a_row_sets_wins(env):
    settings = CompatSettings.from_env({**env, "ANTIPHON_COMPAT_SERVER": "vllm"})
    assert (settings.dialect.max_tokens_field, settings.dialect.stream_usage) == ("max_completion_tokens", False)
    async with settings.keys.lease() as key:
        assert key.secret.reveal() == "secret-of-vllm"
    adapter = settings.adapter(ServiceSettings())
    assert adapter.name == "vllm"
    await adapter.aclose()


@pytest.mark.parametrize("name", ["", "nosuch"])
def test_an_unknown_row_names_the_known_ones(env, name):
    with pytest.raises(SettingError, match="there are: ollama, vllm"):
        CompatSettings.from_env({**env, "ANTIPHON_COMPAT_SERVER": name})


def test_without_a_file():
    with pytest.raises(SettingError, match=r"ANTIPHON_CONFIG.*not set; name the routes file"):
        CompatSettings.from_env({})


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(SettingError, match="no such file"):
        CompatSettings.from_env({"ANTIPHON_CONFIG": str(tmp_path / "none.yaml")})


def test_a_file_without_rows(tmp_path):
    file = tmp_path / "routes.yaml"
    file.write_text('backends: [{id: a, provider: a, addresses: ["localhost:1"]}]')
    with pytest.raises(SettingError, match="none; add one under `compat`"):
        CompatSettings.from_env({"ANTIPHON_CONFIG": str(file), "ANTIPHON_COMPAT_SERVER": "x"})
