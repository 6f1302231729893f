"""Settings: defaults, checks that name the variable, and `.env`."""

import pytest

from antiphon_cli.failure import CommandFailed
from antiphon_cli.settings import Settings, environment


def test_defaults_and_empty_values():
    assert Settings.from_env({"DEFAULT_LLM": "", "LLM_TIMEOUT": " ", "MAX_TOKENS": "0"}) == Settings()


def test_values():
    env = {
        "ANTIPHON_ADDRESS": "dns:///router:1",
        "ANTIPHON_ADMIN_ADDRESS": "[::1]:2",
        "DEFAULT_LLM": "local/smol",
        "MAX_TOKENS": "5",
        "LLM_TIMEOUT": "1.5",
    }
    assert Settings.from_env(env) == Settings("dns:///router:1", "[::1]:2", "local/smol", 5, 1.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTIPHON_ADDRESS", "router"),
        ("ANTIPHON_ADDRESS", "router:0"),
        ("ANTIPHON_ADDRESS", "http://router:50050"),
        ("ANTIPHON_ADMIN_ADDRESS", ":1"),
        ("DEFAULT_LLM", "two words"),
        ("DEFAULT_LLM", "m" * 257),
        ("MAX_TOKENS", "-1"),
        ("MAX_TOKENS", "many"),
        ("MAX_TOKENS", "2147483648"),
        ("LLM_TIMEOUT", "0"),
        ("LLM_TIMEOUT", "nan"),
        ("LLM_TIMEOUT", "soon"),
    ],
)
def test_a_wrong_value_names_the_variable_and_an_example(name, value):
    with pytest.raises(CommandFailed) as caught:
        Settings.from_env({name: value})
    assert caught.value.exit_code == 78
    assert caught.value.line.startswith(f"antiphon: {name}=")
    assert f"write for example {name}=" in caught.value.line
    assert len(caught.value.line) < 200


def test_the_environment_wins_over_dotenv(tmp_path):
    (tmp_path / ".env").write_text("A=1\nB=2\n# C=3\nEMPTY\n")
    assert environment(tmp_path, {"B": "9"}) == {"A": "1", "B": "9"}
    assert environment(tmp_path / "nowhere", {"B": "9"}) == {"B": "9"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"A=1\n\n\nKEY 'sk-secret\nB=2\n", ".env line 4 is not NAME=value"),
        (b"A=1\nB=\xe9\n", ".env line 2 is not UTF-8"),
    ],
)
def test_a_broken_dotenv_names_the_line_and_shows_no_value(tmp_path, content, complaint):
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(CommandFailed, match=complaint) as caught:
        environment(tmp_path, {})
    assert caught.value.exit_code == 78
    assert "secret" not in caught.value.line


def test_an_unreadable_dotenv(tmp_path):
    (tmp_path / ".env").mkdir()
    with pytest.raises(CommandFailed, match=r"\.env cannot be read"):
        environment(tmp_path, {})


def test_certificate_files_are_all_given_and_readable_or_none(tmp_path):
    names = ("ANTIPHON_TLS_CERT_FILE", "ANTIPHON_TLS_KEY_FILE", "ANTIPHON_TLS_CA_FILE")
    env = {}
    assert Settings.from_env(env).tls is None
    for name in names[:2]:
        env[name] = str(tmp_path / name)
        (tmp_path / name).touch()
    with pytest.raises(CommandFailed, match="ANTIPHON_TLS_CA_FILE='' is missing; set all of"):
        Settings.from_env(env)
    env[names[2]] = str(tmp_path / names[2])
    with pytest.raises(CommandFailed, match=r"^ANTIPHON_TLS_CA_FILE=.* cannot be read: No such file"):
        Settings.from_env(env)
    (tmp_path / names[2]).touch()
    tls = Settings.from_env(env).tls
    assert (tls.certificate, tls.key, tls.authorities) == tuple(env[name] for name in names)
    assert tls.server_name == "antiphon"
    assert (
        Settings.from_env({**env, "ANTIPHON_TLS_SERVER_NAME": "antiphon-router"}).tls.server_name == "antiphon-router"
    )


async def test_the_command_ends_with_78(antiphon):
    ran = await antiphon("ask", "hi", env={"LLM_TIMEOUT": "soon"})
    assert (ran.code, ran.out) == (78, "")
    assert ran.err.startswith("antiphon: LLM_TIMEOUT='soon' is not a number of seconds")
