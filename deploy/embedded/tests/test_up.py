"""The launcher as people run it: what it refuses, what it prints, how it ends. Services are stand-ins."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

STUB = Path(__file__).with_name("stub_service.py")
KEY = "sk-a-key-that-must-not-be-seen"


class World:
    """A directory with stand-ins for all programs, a routes file and free ports."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = root / "journal"
        self.ports = [_free_port() for _ in range(5)]
        for program in ("antiphon_router", "antiphon_provider_local", "antiphon_provider_openai"):
            self.program(program, "")
        self.routes()

    def program(self, name: str, mode: str) -> None:
        package = self.root / "programs" / name
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        run = f"import runpy, sys\nsys.argv = ['stub', {mode!r}]\nrunpy.run_path({str(STUB)!r}, run_name='__main__')\n"
        (package / "__main__.py").write_text(run)

    def routes(self, text: str = "") -> None:
        local, other, openai = (f'"127.0.0.1:{port}"' for port in self.ports[:3])
        default = f"""\
backends:
  - {{id: local, provider: local, addresses: [{local}, {other}]}}
  - {{id: openai, provider: openai, addresses: [{openai}]}}
"""
        (self.root / "antiphon.yaml").write_text(text or default)

    def env(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.root / "programs"),
            "ANTIPHON_TEST_JOURNAL": str(self.journal),
            "ANTIPHON_LISTEN": f"127.0.0.1:{self.ports[3]}",
            "ANTIPHON_ADMIN_LISTEN": f"127.0.0.1:{self.ports[4]}",
            "ANTIPHON_DEV_VAULT": "off",
            **more,
        }

    def refused(self, **more: str) -> str:
        """Standard error of an `up` that must start nothing and end with 78."""
        done = subprocess.run(
            [sys.executable, "-m", "antiphon_embedded", "up"],
            cwd=self.root, env=self.env(**more), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, self.journal.exists()) == (78, False), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    @contextmanager
    def up(self, *arguments: str, **more: str) -> Iterator["Up"]:
        process = subprocess.Popen(
            [sys.executable, "-m", "antiphon_embedded", "up", *arguments],
            cwd=self.root, env=self.env(**more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        with process:
            try:
                assert process.stdout is not None
                yield Up(process, process.stdout)
            finally:
                process.kill()

    def events(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.journal.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]


class Up:
    def __init__(self, process: subprocess.Popen[str], output: IO[str]) -> None:
        self.process = process
        self.output = output
        self.seen = ""

    def until(self, words: str) -> None:
        for line in self.output:
            self.seen += line
            if words in line:
                return
        raise AssertionError(f"{words!r} was not printed:\n{self.seen}")

    def rest(self) -> str:
        self.seen += self.output.read()
        return self.seen


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gone(pid: int) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # select() takes no descriptor above 1023, and a test process may have many.
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(20_000))
    finally:
        os.close(handle)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_the_router_before_the_providers(world: World, number: signal.Signals) -> None:
    with world.up() as up:
        up.until("Antiphon serves on")
        up.process.send_signal(number)
        text = up.rest()
        assert up.process.wait(30) == 0, text
    router = f"127.0.0.1:{world.ports[3]}"
    assert world.events("draining")[0]["listen"] == router
    order = [line["event"] for line in map(json.loads, world.journal.read_text().splitlines())]
    assert order.index("ended") < [index for index, event in enumerate(order) if event == "draining"][1]
    assert len(world.events("ended")) == 3
    assert "local-1" in text
    assert "stopped" in text


def test_it_says_what_it_waits_for_and_how_to_use_it(world: World) -> None:
    with world.up() as up:
        up.until("Antiphon serves on")
        up.process.terminate()
        text = up.rest()
    assert "waiting for local-1, local-2, router" in text
    assert "openai: not started here: no key; set OPENAI_API_KEY or OPENAI_API_KEY_FILE in .env" in text
    assert f'antiphon ask "Why is the sky blue?" --address 127.0.0.1:{world.ports[3]}' in text


def test_a_key_from_the_env_file_reaches_its_provider_and_no_one_else(world: World) -> None:
    (world.root / ".env").write_text(f"OPENAI_API_KEY={KEY}\n")
    with world.up() as up:
        up.until("Antiphon serves on")
        up.process.terminate()
        text = up.rest()
    holders = [one["listen"] for one in world.events("started") if "OPENAI_API_KEY" in one["names"]]
    assert holders == [f"127.0.0.1:{world.ports[2]}"]
    assert len(world.events("started")) == 4
    assert KEY not in text


def test_a_key_goes_into_the_vault_and_its_service_is_told_where(world: World) -> None:
    world.program("antiphon_keys", "")
    (world.root / ".env").write_text(f"OPENAI_API_KEY={KEY}\n")
    vault, keys = (f"127.0.0.1:{_free_port()}" for _ in range(2))
    where = {"ANTIPHON_DEV_VAULT": "on", "ANTIPHON_DEV_VAULT_LISTEN": vault, "ANTIPHON_KEYS_LISTEN": keys}
    with world.up(**where) as up:
        up.until("Antiphon serves on")
        for one in world.events("started"):
            assert KEY.encode() not in Path(f"/proc/{one['pid']}/environ").read_bytes()
        (service,) = [one for one in world.events("started") if one["listen"] == f"127.0.0.1:{world.ports[2]}"]
        told = Path(f"/proc/{service['pid']}/environ").read_bytes()
        assert b"OPENAI_API_KEY=vault:openai/default" in told
        assert f"ANTIPHON_VAULT_ADDR=http://{vault}".encode() in told
        assert [one["listen"] for one in world.events("started")].count(keys) == 1
        up.process.terminate()
        text = up.rest()
        assert up.process.wait(30) == 0, text
    assert "the keys of openai are in it and nowhere else" in text
    assert KEY not in text
    logins = world.root / ".cache/antiphon/vault/logins"
    assert sorted(path.name for path in logins.iterdir()) == [
        "coordinator.role-id", "coordinator.secret-id", "openai.role-id", "openai.secret-id",
    ]  # fmt: skip
    assert all(path.stat().st_mode & 0o077 == 0 for path in (logins, *logins.iterdir()))


def test_without_the_vault_keys_stay_in_the_environment_and_it_says_so(world: World) -> None:
    with world.up(OPENAI_API_KEY=KEY) as up:
        up.until("Antiphon serves on")
        up.process.terminate()
        text = up.rest()
    assert "vault:  none, keys come from the environment: ANTIPHON_DEV_VAULT is off" in text
    assert not (world.root / ".cache/antiphon/vault").exists()


def test_a_second_signal_ends_it_at_once(world: World) -> None:
    world.program("antiphon_router", "stubborn")
    with world.up(ANTIPHON_DRAIN_GRACE_S="3600") as up:
        up.until("Antiphon serves on")
        up.process.terminate()
        up.until("draining: running calls finish")
        up.process.terminate()
        up.rest()
        assert up.process.wait(30) == 130
    assert all(gone(int(str(one["pid"]))) for one in world.events("started"))


def test_no_service_outlives_a_launcher_that_was_killed(world: World) -> None:
    with world.up() as up:
        up.until("Antiphon serves on")
        up.process.kill()
    started = world.events("started")
    assert len(started) == 3
    assert all(gone(int(str(one["pid"]))) for one in started)


def test_a_service_that_refuses_its_settings_ends_the_suite_with_its_own_words(world: World) -> None:
    world.program("antiphon_provider_local", "misconfigured")
    with world.up() as up:
        text = up.rest()
        assert up.process.wait(30) == 78
    assert "LLM_TIMEOUT='soon': not a number of seconds; write 30" in text
    assert str(Path(".cache/antiphon/logs/local-")) in text


def test_logs_can_be_shown_instead_of_written(world: World) -> None:
    world.program("antiphon_provider_local", "misconfigured")
    with world.up("--logs") as up:
        text = up.rest()
    assert "LLM_TIMEOUT='soon'" in text
    assert not (world.root / ".cache").exists()


def test_a_port_in_use_is_named_before_anything_starts(world: World) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", world.ports[1]))
        other.listen()
        said = world.refused()
    assert f"error: 127.0.0.1:{world.ports[1]} (local-2): in use by another program; stop that program" in said
    assert "antiphon.yaml" in said


def test_one_address_for_two_services_is_refused(world: World) -> None:
    assert "given to two services" in world.refused(ANTIPHON_ADMIN_LISTEN=f"127.0.0.1:{world.ports[0]}")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LLM_TIMEOUT", "soon", "LLM_TIMEOUT='soon'"),
        ("ANTIPHON_LISTEN", "nowhere", "ANTIPHON_LISTEN='nowhere'"),
        ("ANTIPHON_CONFIG", "none.yaml", "none.yaml"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_name(world: World, variable: str, value: str, words: str) -> None:
    said = world.refused(**{variable: value})
    assert len(said.splitlines()) == 1
    assert words in said


def test_every_mistake_of_the_routes_file_is_a_line_with_its_place(world: World) -> None:
    world.routes("backends:\n  - {id: local, provider: local, adresses: []}\n")
    assert "antiphon.yaml:2:" in world.refused()


def test_a_bad_env_file_is_a_line_with_its_place(world: World) -> None:
    (world.root / ".env").write_text(f"LLM_TIMEOUT=3\nOPENAI_API_KEY {KEY}\n")
    said = world.refused()
    assert ".env:2: not a line like NAME=value" in said
    assert KEY not in said


def test_a_suite_without_any_provider_is_refused_with_what_to_set(world: World) -> None:
    world.routes(f'backends:\n  - {{id: openai, provider: openai, addresses: ["127.0.0.1:{world.ports[2]}"]}}\n')
    assert "openai: no key; set OPENAI_API_KEY" in world.refused()
