"""Owns the command line of the launcher and its composition.

Exit codes: 0 drained, 1 a service could not be kept running or the demo failed, 78 a setting is wrong and nothing was
started, 130 killed by a second Ctrl-C.
"""

import argparse
import asyncio
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from antiphon_embedded import dev_vault
from antiphon_embedded.board import Board, is_terminal, make_board
from antiphon_embedded.demo import run_demo
from antiphon_embedded.demo_service import DemoFailure
from antiphon_embedded.plan import Plan
from antiphon_embedded.settings import EnvFileError, LauncherSettings, with_env_file
from antiphon_embedded.supervisor import EXIT_CONFIG, GaveUp
from antiphon_embedded.up import Refused, Suite, explain, prepare, routes_of
from antiphon_embedded.vault_server import VaultFailure
from antiphon_kit.settings import Env, SettingError


def main() -> int:
    """Run the command; returns its exit code."""
    options = _parse(sys.argv[1:])
    try:
        env = with_env_file(os.environ, options.env_file)
        if options.command == "demo":
            colour = sys.stdout.isatty() and not env.get("NO_COLOR")
            return asyncio.run(run_demo(env, sys.stdout, colour=colour))
        return _up(env, options.logs)
    except (EnvFileError, SettingError, Refused) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return EXIT_CONFIG
    except DemoFailure as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(env: Env, inherit_logs: bool) -> int:
    settings = LauncherSettings.from_env(env)
    suite = routes_of(settings)
    store, why_not = dev_vault.planned(suite, settings, env)
    plan = prepare(suite, settings, env, store)
    with ExitStack() as stack:
        if store is not None:
            print(f"vault:  starting at {store.address}", flush=True)
            try:
                stack.enter_context(dev_vault.running(store, settings, env))
            except VaultFailure as failure:
                store, why_not = None, dev_vault.without(str(failure))
                plan = prepare(suite, settings, env)
        if store is not None:
            kept = ", ".join(sorted(store.providers))
            print(f"vault:  the keys of {kept} are in it and nowhere else; `antiphon keys` shows them")
        elif why_not:
            print(f"vault:  {why_not}")
        return _serve(plan, settings, env, inherit_logs)


def _serve(plan: Plan, settings: LauncherSettings, env: Env, inherit_logs: bool) -> int:
    names = [service.command.name for service in plan.services]
    live = is_terminal(sys.stdout, env.get("TERM", "")) and not inherit_logs
    board = make_board(names, sys.stdout, live=live, colour=not env.get("NO_COLOR"))
    logs = None if inherit_logs else settings.cache / "logs"
    board.say(f"routes: {settings.routes}", *([f"logs:   {logs}"] if logs else []), "")
    board.say(*(f"{skipped.name}: not started here: {skipped.why}" for skipped in plan.skipped))
    board.say(f"waiting for {', '.join(names)}")
    try:
        return asyncio.run(_run(plan, board, logs))
    except GaveUp as failure:
        print("", *explain(failure), sep="\n", file=sys.stderr)
        return EXIT_CONFIG if failure.code == EXIT_CONFIG else 1


async def _run(plan: Plan, board: Board, logs: Path | None) -> int:
    return await Suite(plan, board, logs).run()


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="antiphon_embedded", description="The whole suite on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run every configured service and the router until Ctrl-C")
    up.add_argument("--logs", action="store_true", help="show the services' own logs here instead of writing files")
    demo = commands.add_parser("demo", help="see a real model answer, a replica die and another one take over")
    for command in (up, demo):
        command.add_argument("--env-file", type=Path, default=Path(".env"), help="variables for the services (.env)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
