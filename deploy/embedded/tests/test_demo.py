"""The demo's way of telling, and that it says what is wrong instead of pretending."""

import io
import os
import subprocess
import sys
from pathlib import Path

from antiphon_embedded.demo import write_routes
from antiphon_embedded.narrator import INDENT, WIDTH, Narrator
from antiphon_kit.config import load_suite


def test_an_answer_is_wrapped_between_words_however_it_is_cut() -> None:
    text = "The sea is wide. " * 30 + "\n\nEnd"
    pages = []
    for size in (1, 3, 1000):
        out = io.StringIO()
        tell = Narrator(out, colour=False)
        for start in range(0, len(text), size):
            tell.piece(text[start : start + size])
        tell.end_of_answer()
        pages.append(out.getvalue())
        assert out.getvalue().split() == text.split()
        assert all(line.startswith(INDENT) and len(line) <= WIDTH + 16 for line in out.getvalue().splitlines())
    assert len(pages[1].splitlines()) == len(pages[2].splitlines())


def test_the_first_words_are_shown_before_the_line_is_full() -> None:
    out = io.StringIO()
    Narrator(out, colour=False).piece("The")
    assert out.getvalue() == f"{INDENT}The"


def test_the_demo_writes_a_valid_routes_file(tmp_path: Path) -> None:
    routes = tmp_path / "routes.yaml"
    write_routes(["127.0.0.1:1", "127.0.0.1:2"], "smollm2", routes)
    suite = load_suite(routes)
    assert (suite.default_llm, list(suite.backends[0].addresses)) == ("local", ["127.0.0.1:1", "127.0.0.1:2"])


def test_a_replica_that_does_not_start_is_one_clear_failure(tmp_path: Path) -> None:
    package = tmp_path / "antiphon_provider_local"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys\nsys.exit('LOCAL_MODEL_PATH: no such file; name a GGUF file')\n")
    done = subprocess.run(
        [sys.executable, "-m", "antiphon_embedded", "demo"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "replica" in done.stderr
    assert "LOCAL_MODEL_PATH: no such file; name a GGUF file" in done.stderr
    assert "Traceback" not in done.stderr
