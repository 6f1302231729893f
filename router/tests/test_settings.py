"""Settings, the routes file, and the program around them."""

import asyncio
import os
import signal
import sys

import pytest

from antiphon.config.v1 import suite_pb2
from antiphon_kit.settings import SettingError
from antiphon_router.__main__ import main
from antiphon_router.settings import RouterSettings
from antiphon_router.shell.config import catalog_from

ROUTES = """
backends:
- {id: a, provider: p, addresses: ["127.0.0.1:1"], default_model: m0, state_domain: one}
- {id: b, provider: p, addresses: ["127.0.0.1:2"], state_domain: two}
- {id: c, provider: q, addresses: ["127.0.0.1:3"]}
routes:
- model: fast
  targets:
  - {backend: a, tier: 1}
  - {backend: c, model: m1, weight: 0}
"""


@pytest.fixture
def routes(tmp_path):
    path = tmp_path / "routes.yaml"
    path.write_text(ROUTES)
    return path


def test_defaults_and_what_the_environment_changes():
    settings = RouterSettings.from_env({"ANTIPHON_CONFIG": "r.yaml"})
    assert settings.service.listen == "127.0.0.1:50050"
    assert settings.admin_listen == "127.0.0.1:50051"
    assert settings.service.max_concurrency == 2000
    changed = RouterSettings.from_env(
        {
            "ANTIPHON_CONFIG": "r.yaml", "ANTIPHON_LISTEN": "0.0.0.0:1", "ANTIPHON_ADMIN_LISTEN": "[::1]:2",
            "DEFAULT_LLM": "fast", "LLM_TIMEOUT": "5", "ANTIPHON_MAX_CONCURRENCY": "7", "ANTIPHON_HOLD_BYTES": "9",
        }
    )  # fmt: skip
    assert (changed.service.listen, changed.admin_listen, changed.default_llm) == ("0.0.0.0:1", "[::1]:2", "fast")
    assert (changed.service.total_timeout_s, changed.service.max_concurrency) == (5.0, 7)
    assert (settings.hold_bytes, changed.hold_bytes) == (8 << 20, 9)


@pytest.mark.parametrize(
    "env",
    [{}, {"ANTIPHON_CONFIG": "x", "ANTIPHON_ADMIN_LISTEN": "nowhere"}, {"ANTIPHON_CONFIG": "x", "LLM_TIMEOUT": "soon"}],
)
def test_a_wrong_value_is_one_line(env):
    with pytest.raises(SettingError) as raised:
        RouterSettings.from_env(env)
    assert "\n" not in str(raised.value)


def test_the_catalog_is_what_the_file_says(routes):
    from antiphon_kit.config import load_suite

    catalog = catalog_from(load_suite(routes), "")
    a, b = catalog.providers["p"]
    assert (a.account, a.pool_mark, b.pool_mark) == ("one", "@one", "@two")
    assert (catalog.providers["q"][0].account, catalog.providers["q"][0].pool_mark) == ("c", "")
    assert [(t.backend.id, t.model, t.tier, t.weight) for t in catalog.routes["fast"]] == [
        ("a", "m0", 1, 1),
        ("c", "m1", 0, 0),
    ]


def test_the_environments_default_wins():
    suite = suite_pb2.Suite(default_llm="p")
    assert catalog_from(suite).default == "p"
    assert catalog_from(suite, "q").default == "q"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "ANTIPHON_CONFIG"),
        ({"ANTIPHON_CONFIG": "/nosuch.yaml"}, "no such file"),
        ({"DEFAULT_LLM": "nosuch"}, "known providers: p, q"),
    ],
)
def test_what_cannot_be_used_ends_the_start_with_78_and_one_line(routes, capsys, env, said):
    assert main({"ANTIPHON_CONFIG": str(routes), **env} if env else {}) == 78
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


async def test_the_program_serves_says_where_and_drains_on_sigterm(routes):
    read, write = os.pipe()
    env = {
        "PATH": os.environ["PATH"], "ANTIPHON_CONFIG": str(routes), "ANTIPHON_LISTEN": "127.0.0.1:0",
        "ANTIPHON_ADMIN_LISTEN": "127.0.0.1:0", "ANTIPHON_READY_FD": str(write),
    }  # fmt: skip
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "antiphon_router", env=env, pass_fds=(write,), stderr=asyncio.subprocess.PIPE
    )
    os.close(write)
    with os.fdopen(read) as ready:
        address = await asyncio.to_thread(ready.readline)
    assert address.startswith("127.0.0.1:")
    program.send_signal(signal.SIGTERM)
    _, err = await asyncio.wait_for(program.communicate(), 20)
    assert program.returncode == 0, err
    assert b"drained" in err
