"""Owns `routes check`: reads a routes file as the router would, without a router."""

import argparse

from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed, one_line
from antiphon_cli.screen import Screen
from antiphon_kit.config import ConfigError, load_suite


def check(arguments: argparse.Namespace) -> None:
    """Prints every mistake, then raises CommandFailed (78)."""
    screen = Screen()
    try:
        suite = load_suite(arguments.file)
    except ConfigError as error:
        problems = [one_line(problem) for problem in error.problems]
        if arguments.json:
            screen.json({"problems": problems})
        else:
            screen.text("".join(f"{problem}\n" for problem in problems))
        count = "one mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        what = f"{one_line(arguments.file)} has {count}"
        raise CommandFailed(ExitCode.CONFIGURATION, what, "mend each as its line says") from None
    if arguments.json:
        screen.json({"problems": []})
    else:
        backends, routes = len(suite.backends), len(suite.routes)
        screen.text(f"{one_line(arguments.file)} is fine: backends {backends}, routes {routes}\n")
