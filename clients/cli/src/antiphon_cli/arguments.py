"""Owns the command line: commands, options, help. What it refuses is one line and exit code 2."""

import argparse
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TypeVar

from antiphon_cli import settings
from antiphon_cli.exit_codes import ExitCode, table
from antiphon_cli.failure import CommandFailed

_SETTINGS: Final = """\
settings (environment, or .env in the working directory):
  ANTIPHON_ADDRESS        the router, host:port (127.0.0.1:50050)
  ANTIPHON_ADMIN_ADDRESS  its administration (127.0.0.1:50051)
  ANTIPHON_KEYS_ADDRESS   the coordinator of provider keys (127.0.0.1:50052)
  DEFAULT_LLM             provider, provider/model or alias when neither option is given
  MAX_TOKENS              limit of the answer in tokens (0: none)
  LLM_TIMEOUT             time limit of an answer in seconds (600)

exit codes:
"""
_Value = TypeVar("_Value")
_Number = TypeVar("_Number", int, float)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandFailed(ExitCode.USAGE, message, f"see `{self.prog} --help`")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Raises CommandFailed (2), or SystemExit after printing help."""
    arguments = parser().parse_args(argv)
    assert isinstance(arguments, argparse.Namespace)
    return arguments


def parser() -> argparse.ArgumentParser:
    top = _Parser(
        prog="antiphon",
        description="Talk to language models through an Antiphon router.",
        epilog=_SETTINGS + table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="store_const", const="version", dest="command", help="same as `version`")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    ask = _command(commands, "ask", "ask once, the answer streams to stdout")
    ask.add_argument("prompt", nargs="*", metavar="PROMPT", help="the question; `-` or none: read it from stdin")
    _call_options(ask)
    ask.add_argument("--no-stream", action="store_true", help="print the answer when it is whole")
    _json_option(ask)

    chat = _command(commands, "chat", "talk over several turns; /help lists its commands")
    _call_options(chat)

    for name, summary in (
        ("providers", "list providers and how they are"),
        ("models", "list models"),
        ("status", "list backends and targets: state, reason, since when, next try"),
    ):
        listing = _command(commands, name, summary)
        _json_option(listing)
        _address_option(listing, "--address", "the router")
        _address_option(listing, "--admin-address", "the router's administration")
        if name == "models":
            listing.add_argument("--provider", metavar="P", default="", help="only those of this provider")

    enable = _command(commands, "enable", "have a target tried with the next call, once its key or bill is mended")
    enable.add_argument("target", metavar="TARGET_ID", help="as in `antiphon status`; of a backend: all it depends on")
    _json_option(enable)
    _address_option(enable, "--admin-address", "the router's administration")
    _routes(_command(commands, "routes", "ask what a model name leads to, or check a routes file"))
    _keys(_command(commands, "keys", "provider keys in Vault: how they are, rotate, promote, revoke"))
    _json_option(_command(commands, "version", "print the version"))
    return top


def _command(commands: "argparse._SubParsersAction[_Parser]", name: str, summary: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog="`antiphon --help` has the settings and exit codes.",
        allow_abbrev=False,
    )


def _routes(routes: argparse.ArgumentParser) -> None:
    commands = routes.add_subparsers(dest="routes_command", metavar="COMMAND", required=True, parser_class=_Parser)
    explain = _command(commands, "explain", "tell who would get a call now, who would not, and why; sends nothing")
    explain.add_argument("model", nargs="?", default="", metavar="MODEL", help="as in `ask --model`; none: the default")
    explain.add_argument("--provider", metavar="P", default="", help="as in `ask --provider`")
    explain.add_argument("--affinity", metavar="D", default="", help="state domain that the call belongs to; D;hard")
    explain.add_argument("--cache-affinity", metavar="C", default="", help="what calls with the same prompt share")
    words = ("fail", "restart", "hold")
    explain.add_argument("--after-content", choices=words, default="fail", help="what the caller asks for")
    _json_option(explain)
    _address_option(explain, "--admin-address", "the router's administration")
    check = _command(commands, "check", "read a routes file as the router would and tell every mistake in it")
    check.add_argument("file", metavar="FILE", help="the routes file, such as antiphon.yaml")
    _json_option(check)


def _keys(keys: argparse.ArgumentParser) -> None:
    _keys_options(keys)
    commands = keys.add_subparsers(dest="keys_command", metavar="COMMAND", parser_class=_Parser)
    status = _command(commands, "status", "list versions: stage, share, calls, health, process by process")
    status.add_argument("slot", nargs="?", default="", metavar="SLOT", help="only this one, <provider>/<name>")
    _keys_options(status, inner=True)
    for name, summary in (
        ("rotate", "put a version on its way into service, share by share"),
        ("promote", "put a version in service at once"),
        ("revoke", "take a version out of use for good"),
    ):
        order = _command(commands, name, summary)
        order.add_argument("slot", metavar="SLOT", help="the key, <provider>/<name>")
        revoke = name == "revoke"
        which = "its number" if revoke else "its number; none: the newest one"
        order.add_argument("--version", metavar="N", type=_version, dest="number", required=revoke, help=which)
        if revoke:
            order.add_argument("--force", action="store_true", help="also if no usable version is left")
        order.add_argument("--wait", action="store_true", help="return when it is done in every process, or has failed")
        order.add_argument("--timeout", metavar="S", type=_seconds, help="time limit of --wait in seconds (600)")
        _keys_options(order, inner=True)


def _keys_options(command: argparse.ArgumentParser, *, inner: bool = False) -> None:
    # What stands before the inner command must not be undone by its defaults.
    default = argparse.SUPPRESS if inner else None
    command.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS if inner else False,
        help="one JSON object on stdout; failures as one on stderr",
    )
    command.add_argument("--keys-address", metavar="A", type=_address, default=default, help="coordinator, host:port")


def _call_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--provider", metavar="P", default="", help="only this provider; see `antiphon providers`")
    command.add_argument("--model", metavar="M", default="", help="model id or alias; see `antiphon models`")
    command.add_argument("--system", metavar="S", default="", help="instructions before the conversation")
    command.add_argument("--max-tokens", metavar="N", type=_max_tokens, help="limit of the answer in tokens")
    command.add_argument("--temperature", metavar="T", type=_temperature, help="0 and up; higher is more varied")
    command.add_argument("--timeout", metavar="S", type=_seconds, help="time limit of an answer in seconds")
    command.add_argument(
        "--after-content",
        choices=("fail", "restart", "hold"),
        default="fail",
        help="if an answer breaks: tell it, begin anew, or show nothing before it is whole; where the route permits",
    )
    command.add_argument("--verbose", action="store_true", help="summary on stderr even if that is no terminal")
    _address_option(command, "--address", "the router")


def _json_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one JSON object on stdout; failures as one on stderr")


def _address_option(command: argparse.ArgumentParser, flag: str, what: str) -> None:
    command.add_argument(flag, metavar="A", type=_address, help=f"{what}, host:port")


def _checked(check: Callable[[str], _Value], text: str, wanted: str) -> _Value:
    try:
        return check(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None


def _address(text: str) -> str:
    return _checked(settings.address, text, "host:port")


def _version(text: str) -> int:
    return _checked(lambda given: _between(int(given), 1, 2**31 - 1), text, "the number of a version, 1 or more")


def _seconds(text: str) -> float:
    return _checked(settings.seconds, text, "a number of seconds from 0 to 86400")


def _max_tokens(text: str) -> int:
    def check(given: str) -> int:
        return _between(int(given), 1, settings.MAX_TOKENS_LIMIT)

    return _checked(check, text, "a number of tokens, 1 or more")


def _temperature(text: str) -> float:
    return _checked(lambda given: _between(float(given), 0.0, 100.0), text, "a number from 0 to 100")


def _between(value: _Number, least: _Number, most: _Number) -> _Number:
    if not least <= value <= most:
        raise ValueError(value)
    return value
