"""Owns `antiphon ask`: where the prompt comes from, the one call, and its forms of output."""

import argparse
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

from google.protobuf.json_format import MessageToDict

from antiphon.llm.v1 import params_pb2
from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed
from antiphon_cli.screen import Screen, first_token_s, tokens_per_second
from antiphon_cli.settings import Settings
from antiphon_cli.showing import shown
from antiphon_client import Answer, AsyncClient, CallArguments

MAX_PROMPT_BYTES: Final = 64 * 1024 * 1024


async def ask(arguments: argparse.Namespace, settings: Settings, prompt: str) -> None:
    """One answer to stdout. Raises AntiphonError, BrokenPipeError."""
    screen = Screen(verbose=arguments.verbose)
    call = call_of(arguments, settings)
    try:
        async with AsyncClient(arguments.address or settings.address, tls=settings.tls) as client:
            if arguments.no_stream:
                answer = await client.generate(prompt, **call)
                screen.text("" if arguments.json else answer.text)
            else:
                async with client.stream(prompt, **call) as stream:
                    if arguments.json:
                        answer = await stream.response()
                    else:
                        answer = await shown(stream, screen, provisional=arguments.after_content == "restart")
    finally:
        screen.close_line()
    if arguments.json:
        screen.json(as_json(answer))
    screen.summary(answer)


def call_of(arguments: argparse.Namespace, settings: Settings) -> CallArguments:
    """Options first, then settings. DEFAULT_LLM counts only if neither provider nor model is given."""
    asked = bool(arguments.model or arguments.provider)
    call: CallArguments = {
        "model": arguments.model if asked else settings.default_llm,
        "provider": arguments.provider,
        "system": arguments.system or None,
        "max_output_tokens": arguments.max_tokens or settings.max_output_tokens,
        "timeout_s": arguments.timeout or settings.timeout_s,
    }
    if arguments.after_content != "fail":
        call["after_content"] = arguments.after_content
    if arguments.temperature is not None:
        call["params"] = params_pb2.GenerateParams(temperature=arguments.temperature)
    return call


def prompt_of(words: Sequence[str], stdin: BinaryIO, *, stdin_is_terminal: bool) -> str:
    """The prompt of the command line or of stdin. Raises CommandFailed."""
    if words and list(words) != ["-"]:
        text = " ".join(words)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _not_utf8("on the command line") from None
        return text
    if not words and stdin_is_terminal:
        raise CommandFailed(ExitCode.USAGE, "there is no prompt", "give it as an argument or pipe it to stdin")
    data = stdin.read(MAX_PROMPT_BYTES + 1)
    if len(data) > MAX_PROMPT_BYTES:
        what = f"the prompt on stdin is larger than {MAX_PROMPT_BYTES // 2**20} MiB"
        raise CommandFailed(ExitCode.REFUSED, what, "shorten it", reason="REQUEST_TOO_LARGE")
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise _not_utf8(f"on stdin, byte {error.start}") from None


def as_json(answer: Answer) -> dict[str, Any]:
    """The answer for scripts; names follow the contract, unknown values are null or left out."""
    end = MessageToDict(answer.end, preserving_proto_field_name=True)
    return {
        "text": answer.text,
        "provider": answer.provider,
        "model": answer.model,
        "finish_reason": answer.finish_reason,
        "usage": end.get("usage"),
        "timing": {
            "time_to_first_token_s": first_token_s(answer),
            "total_s": answer.duration_s,
            "tokens_per_second": tokens_per_second(answer),
        },
        "request_id": answer.request_id,
        "response_id": answer.start.response_id,
        "failed_attempts": len(answer.attempts),
        "restarts": answer.restarts,
        "warnings": end.get("warnings", []),
    }


def _not_utf8(where: str) -> CommandFailed:
    what = f"the prompt is not valid UTF-8 ({where})"
    remedy = "convert it, for example with iconv -t UTF-8"
    return CommandFailed(ExitCode.REFUSED, what, remedy, reason="INVALID_REQUEST")
