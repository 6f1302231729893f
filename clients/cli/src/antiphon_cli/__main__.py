"""Owns the life of the command: environment, dispatch, exit code. Nothing heavy is imported before it is needed."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its log lines would stand among ours
    sys.excepthook = _one_line_instead_of_a_traceback
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal may lack a character
    try:
        run(arguments, os.environ, Path())
        sys.stdout.flush()
    except CommandFailed as failure:
        return _report(failure, arguments)
    except KeyboardInterrupt:
        return _report(CommandFailed(ExitCode.INTERRUPTED, "cancelled"), arguments)
    except OSError as error:
        # The interpreter flushes at exit: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return ExitCode.BROKEN_PIPE
        return _report(CommandFailed(ExitCode.INTERNAL, f"input or output failed: {error.strerror}"), arguments)
    return ExitCode.OK


def _report(failure: CommandFailed, arguments: Sequence[str]) -> int:
    failure.report(as_json="--json" in arguments)
    return failure.exit_code


def run(argv: Sequence[str], env: Mapping[str, str], directory: Path) -> None:
    """One command. Raises CommandFailed, KeyboardInterrupt, BrokenPipeError."""
    from antiphon_cli import arguments as command_line

    arguments = command_line.parse(argv)
    if arguments.command is None:
        raise CommandFailed(ExitCode.USAGE, "there is no command", "see `antiphon --help`")
    if arguments.command == "version":
        _version(as_json=getattr(arguments, "json", False))
        return
    if arguments.command == "routes" and arguments.routes_command == "check":
        from antiphon_cli import checking

        checking.check(arguments)
        return
    from antiphon_cli import (
        asking,
        chatting,
        enabling,
        explaining,
        interrupts,
        keys,
        listing,
        remedies,
        settings,
        status,
    )
    from antiphon_client import AntiphonError

    chosen = settings.Settings.from_env(settings.environment(directory, env))
    try:
        if arguments.command == "ask":
            terminal = sys.stdin.isatty()
            prompt = asking.prompt_of(arguments.prompt, sys.stdin.buffer, stdin_is_terminal=terminal)
            with interrupts.open_runner() as runner:
                runner.run(asking.ask(arguments, chosen, prompt))
        elif arguments.command == "chat":
            chatting.chat(arguments, chosen)
        else:
            commands = {
                "enable": enabling.enable,
                "keys": keys.keys,
                "models": listing.models,
                "providers": listing.providers,
                "routes": explaining.explain,
                "status": status.status,
            }
            with interrupts.open_runner() as runner:
                runner.run(commands[arguments.command](arguments, chosen))
    except AntiphonError as failure:
        raise remedies.explain(failure) from None


def _version(*, as_json: bool) -> None:
    from importlib.metadata import version

    number = version("antiphon-cli")
    print(f'{{"version": "{number}"}}' if as_json else f"antiphon {number}")


def _one_line_instead_of_a_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Exit code 1 follows by itself. The text of the exception may hold anything, so only its type is shown."""
    where = "?"
    while trace is not None:
        where = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        trace = trace.tb_next
    failure = CommandFailed(ExitCode.INTERNAL, f"internal error ({kind.__name__} at {where})", "please report it")
    failure.report(as_json=False)


if __name__ == "__main__":
    sys.exit(main())
