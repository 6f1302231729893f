"""Executes docs/add-a-provider.md: its files are written out, measured, judged, started as the launcher does, asked."""

import ast
import dataclasses
import fnmatch
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from workspace import ROOT

from antiphon_client import Client
from antiphon_conformance.program import Launch, started
from antiphon_conformance.vendor.scenes import PLAIN_TOKENS, Scene, text
from antiphon_conformance.vendor.stage import performing
from antiphon_conformance.wires.openai_chat import OpenAIChat
from antiphon_embedded.plan import make_plan
from antiphon_embedded.settings import LauncherSettings
from antiphon_kit.config import load_suite
from antiphon_wires.openai_chat.codec import Dialect

PAGE = (ROOT / "docs" / "add-a-provider.md").read_text()
FILES = dict(re.findall(r"^\*\*`([^`\n]+)`\*\*\n\n```\w+\n(.*?)^```$", PAGE, re.M | re.S))
HOME = "services/providers/acme/"
MAX_FILES = 4
MAX_LINES = 40
KEY = "sk-acme-0123456789abcdef"


def own(path: Path) -> list[Path]:
    """What a provider's author wrote; the marker for type checkers is empty."""
    return [file for file in path.rglob("*") if file.is_file() and file.suffix in (".py", ".toml", ".yaml")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The page's files, in a directory of their own."""
    root = tmp_path_factory.mktemp("newcomer")
    for name, content in FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


def source(tree: Path) -> str:
    return str(tree / HOME / "src")


def test_it_is_one_directory_with_few_files_and_lines(tree):
    files = own(tree / HOME)
    assert {str(file.relative_to(tree)) for file in files} == FILES.keys() - {"antiphon.yaml"}
    assert len(files) <= MAX_FILES
    lines = [line for file in files for line in file.read_text().splitlines() if line.strip()]
    assert len(lines) <= MAX_LINES
    assert all(len(line) <= 120 for line in lines)


def test_a_real_one_keeps_to_it_too():
    assert len(own(ROOT / "services/providers/deepseek")) <= MAX_FILES


def test_the_workspace_would_take_it(tree):
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    assert any(fnmatch.fnmatch(HOME.rstrip("/"), glob) for glob in globs)
    like = (ROOT / "services/providers/openai/pyproject.toml").read_text()
    wanted = like.replace("OpenAI as", "Acme as").replace("antiphon-wires[openai]", "*").replace("openai", "acme")
    assert (tree / HOME / "pyproject.toml").read_text() == wanted.replace("*", "antiphon-wires[openai]")


def test_its_modules_are_written_as_the_house_wants_them(tree):
    modules = [file for file in own(tree / HOME) if file.suffix == ".py"]
    assert all(ast.get_docstring(ast.parse(file.read_text())) for file in modules)
    ruff = str(Path(sys.executable).with_name("ruff"))
    rules = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(tree / HOME)]
    for command in ([ruff, "check", *rules], [ruff, "format", "--check", *rules]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_parity_test_passes(tree):
    """One case, unary and streamed, direct and routed; the whole suite is for real providers."""
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-k", "test_plain_text_arrives_whole", str(tree / HOME / "tests")],
        env={**os.environ, "PYTHONPATH": source(tree)},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(".") >= 4, done.stdout


def test_the_launcher_starts_it_from_its_row_and_it_answers(tree):
    suite = load_suite(tree / "antiphon.yaml")
    env = {"ACME_API_KEY": KEY, "PATH": os.environ["PATH"]}
    settings = LauncherSettings.from_env(env)
    (skipped,) = make_plan(suite, settings, {}, lambda _: True).skipped
    assert "ACME_API_KEY" in skipped.why
    (service,) = make_plan(suite, settings, env, lambda _: True).providers
    assert service.command.argv == (sys.executable, "-m", "antiphon_provider_acme")
    assert service.listen == "127.0.0.1:50079"
    with performing(OpenAIChat()) as vendor:
        play = vendor.play(Scene.PLAIN)
        here = {"ANTIPHON_LISTEN": "127.0.0.1:0", "ACME_BASE_URL": f"{vendor.url}/v1", "PYTHONPATH": source(tree)}
        launch = Launch(service.command.argv[-1], {**service.command.env, **here})
        with started(launch) as program, Client(program.address) as client:
            program.until_serving()
            answer = client.generate("hi", model=f"acme/{play.model}", max_output_tokens=50)
        request = play.last.request
        assert (answer.text, vendor.wire.key(request)) == (text(PLAIN_TOKENS), KEY)
        assert json.loads(request.body)["max_tokens"] == 50


def test_it_tells_of_every_way_to_depart():
    (table,) = re.findall(r"^\| Field \| Says \|\n\|---\|---\|\n((?:\|.*\|\n)+)", PAGE, re.M)
    told = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(told) == sorted(field.name for field in dataclasses.fields(Dialect))


def test_what_it_points_at_exists():
    prose = re.sub(r"^\*\*`.*", "", PAGE, flags=re.M)
    paths = {path for path in re.findall(r"[`( ]((?:services|tests|deploy)/[\w./-]+)", prose) if path + "/" != HOME}
    assert len(paths) > 5
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
