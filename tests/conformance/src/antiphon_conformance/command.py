"""`antiphon-conformance --target host:port [--model ID] [pytest options]`: judge a running service, in any language.

Exits with pytest's code: 0 when every case passed, 1 when one failed, 2 to 5 when the run itself went wrong.
"""

import argparse
import os
import sys
from pathlib import Path

import pytest

from antiphon_conformance import at_address


class _Options:
    """Makes what this command understands known to pytest."""

    @pytest.hookimpl
    def pytest_addoption(self, parser: pytest.Parser) -> None:
        parser.addoption("--target", default="")
        parser.addoption("--model", default="")


def main(arguments: list[str] | None = None) -> int:
    """Run the suite; returns the exit code."""
    usage = argparse.ArgumentParser(prog="antiphon-conformance", description="Judge a running service by its address.")
    usage.add_argument("--target", required=True, metavar="HOST:PORT", help="where the service listens, without TLS")
    usage.add_argument("--model", default="", metavar="ID", help="the model to ask; default: the first that is listed")
    known, more = usage.parse_known_args(arguments)
    # The cases stand in an installed package; what the current directory configures for its own tests is not for them.
    cases = str(Path(at_address.__file__))
    own = ["-c", os.devnull, "--rootdir", str(Path(cases).parent), "-p", "no:cacheprovider", "-q"]
    own += ["--import-mode=importlib", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    own += ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    options = [f"--target={known.target}", f"--model={known.model}"]
    return int(pytest.main([*own, *options, *more, cases], plugins=[_Options()]))


if __name__ == "__main__":
    sys.exit(main())
