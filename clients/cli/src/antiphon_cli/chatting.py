"""Owns `antiphon chat`: the loop of turns, its commands, and what Ctrl-C does.

One event loop lives through the whole talk but runs only while an answer comes: reading a line needs no loop, and
asyncio.Runner turns Ctrl-C into the cancellation of just that answer.
"""

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

from antiphon_cli.asking import call_of
from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed
from antiphon_cli.interrupts import open_runner
from antiphon_cli.remedies import explain
from antiphon_cli.screen import Screen
from antiphon_cli.settings import Settings
from antiphon_cli.showing import shown
from antiphon_client import AntiphonError, AsyncClient, Conversation

_HELP: Final = "/clear forgets the conversation, /exit or Ctrl-D ends, Ctrl-C cancels an answer"


def chat(arguments: argparse.Namespace, settings: Settings) -> None:
    """Talk until /exit or the end of stdin. Raises CommandFailed when stdin is no terminal and a turn fails."""
    call = call_of(arguments, settings)
    talk = Conversation(call.pop("system", None))
    screen = Screen(verbose=arguments.verbose)
    client = AsyncClient(arguments.address or settings.address, tls=settings.tls)
    people = sys.stdin.isatty()
    if people:
        with suppress(ImportError):
            import readline  # noqa: F401  # input() then edits lines and keeps a history
        screen.note(f"antiphon chat: {_HELP}")

    async def turn(text: str) -> None:
        try:
            call["affinity"] = talk.state_domain
            async with client.stream(talk.prompt(text), **call) as stream:
                answer = await shown(stream, screen, provisional=arguments.after_content == "restart")
        finally:
            screen.close_line()
        talk.add(text, answer)
        screen.summary(answer)

    with open_runner() as runner:
        runner.run(client.open())
        try:
            while (line := _line(screen, people=people)) is not None:
                match line.strip():
                    case "":
                        continue
                    case "/exit" | "/quit":
                        return
                    case "/clear":
                        talk.clear()
                        screen.note("the conversation is forgotten")
                    case "/help":
                        screen.note(_HELP)
                    case _:
                        _take_turn(runner, turn(line), screen, people=people)
        finally:
            runner.run(client.close())


def _take_turn(runner: asyncio.Runner, turn: Coroutine[Any, Any, None], screen: Screen, *, people: bool) -> None:
    """Run one turn. A person stays in the talk when it fails or is cancelled; a script is told."""
    try:
        runner.run(turn)
    except KeyboardInterrupt:
        if not people:
            raise
        screen.note("cancelled; this turn is forgotten")
    except AntiphonError as failure:
        if not people:
            raise
        explain(failure).report(as_json=False)


def _line(screen: Screen, *, people: bool) -> str | None:
    """The next line of stdin; None at its end. Raises CommandFailed for what is not UTF-8."""
    while True:
        try:
            line = input("> " if people else "")
            line.encode()
        except EOFError:
            screen.note("")
            return None
        except KeyboardInterrupt:
            if not people:
                raise
            screen.note("\nCtrl-D or /exit ends the chat")
        except UnicodeError:
            failure = CommandFailed(ExitCode.REFUSED, "that line is not valid UTF-8", "write it again in UTF-8")
            if not people:
                raise failure from None
            failure.report(as_json=False)
        else:
            return line
