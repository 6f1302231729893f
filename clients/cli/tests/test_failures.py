"""Each failure is one clear line with a remedy and a documented exit code; never a traceback, never a secret."""

import asyncio
import json
import sys

import pytest

from antiphon_cli import arguments, exit_codes, remedies
from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed
from antiphon_client import errors
from antiphon_client.testing import ScriptedRouter, answering, failing
from antiphon_contract.errors import RULES, Reason, call_error, failure

R = Reason
CODES = {
    R.ERROR_REASON_INVALID_REQUEST: 6,
    R.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: 6,
    R.ERROR_REASON_PARAM_UNSUPPORTED: 6,
    R.ERROR_REASON_REQUEST_TOO_LARGE: 6,
    R.ERROR_REASON_OPAQUE_STATE_REJECTED: 6,
    R.ERROR_REASON_CONTENT_BLOCKED: 6,
    R.ERROR_REASON_MODEL_NOT_FOUND: 5,
    R.ERROR_REASON_OPERATION_UNSUPPORTED: 6,
    R.ERROR_REASON_GATEWAY_AUTH: 4,
    R.ERROR_REASON_GATEWAY_FORBIDDEN: 4,
    R.ERROR_REASON_GATEWAY_RATE_LIMITED: 7,
    R.ERROR_REASON_GATEWAY_BUDGET_EXHAUSTED: 7,
    R.ERROR_REASON_GATEWAY_OVERLOADED: 8,
    R.ERROR_REASON_PROVIDER_CREDENTIALS: 4,
    R.ERROR_REASON_QUOTA_EXHAUSTED: 7,
    R.ERROR_REASON_RATE_LIMITED: 7,
    R.ERROR_REASON_PROVIDER_OVERLOADED: 8,
    R.ERROR_REASON_PROVIDER_ERROR: 8,
    R.ERROR_REASON_UPSTREAM_UNREACHABLE: 8,
    R.ERROR_REASON_UPSTREAM_TIMEOUT: 8,
    R.ERROR_REASON_UPSTREAM_PROTOCOL: 8,
    R.ERROR_REASON_STREAM_INTERRUPTED: 9,
    R.ERROR_REASON_CONFLICT: 8,
    R.ERROR_REASON_NO_HEALTHY_BACKEND: 8,
    R.ERROR_REASON_CANCELLED: 8,
    R.ERROR_REASON_DEADLINE_EXCEEDED: 10,
    R.ERROR_REASON_GATEWAY_INTERNAL: 1,
    R.ERROR_REASON_GATEWAY_DRAINING: 8,
}


def test_every_reason_has_its_exit_code_and_a_remedy():
    assert set(CODES) == set(RULES)
    for reason, code in CODES.items():
        explained = remedies.explain(errors.from_call_error(call_error(reason, "what happened.")))
        assert explained.exit_code == code, Reason.Name(reason)
        assert explained.line.startswith("antiphon: what happened; ")
        assert "{" not in explained.line


def test_a_delay_is_part_of_the_remedy():
    limited = errors.from_call_error(call_error(R.ERROR_REASON_RATE_LIMITED, "slow down", retry_delay_s=12))
    assert remedies.explain(limited).line == "antiphon: slow down; try again in 12 s"


def test_the_gateways_own_remedy_is_not_repeated():
    told = errors.from_call_error(call_error(R.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED, "9 tokens, 8 fit; shorten it"))
    assert remedies.explain(told).line == "antiphon: 9 tokens, 8 fit; shorten it"


def test_the_line_stays_one_line_and_harmless():
    line = CommandFailed(ExitCode.INTERNAL, "a\nb\x1b[31m\tc.").line
    assert line == "antiphon: a b [31m c"


def test_help_documents_every_exit_code():
    text = arguments.parser().format_help()
    assert set(exit_codes.TEXT) == set(ExitCode)
    for code, words in exit_codes.TEXT.items():
        assert f"{code.value:>3}  {words}" in text


async def test_unknown_provider_names_the_known_ones(antiphon):
    unknown = failure(R.ERROR_REASON_MODEL_NOT_FOUND, "no provider 'nosuch'; known providers: local, openai")
    async with ScriptedRouter(failing(unknown)) as router:
        ran = await antiphon("ask", "--provider", "nosuch", "hi", "--address", router.address)
        call = await router.calls.get()
    assert call.metadata["antiphon-provider"] == "nosuch"
    assert (ran.code, ran.out) == (5, "")
    assert ran.err == (
        "antiphon: no provider 'nosuch'; known providers: local, openai; "
        "`antiphon providers` and `antiphon models` list what there is\n"
    )


async def test_bad_key(antiphon):
    refused = failure(R.ERROR_REASON_PROVIDER_CREDENTIALS, "openai refuses the key")
    async with ScriptedRouter(failing(refused)) as router:
        ran = await antiphon("ask", "hi", "--address", router.address, env={"OPENAI_API_KEY": "sk-secret"})
    assert ran.code == 4
    assert ran.err.startswith("antiphon: openai refuses the key; mend the provider's key")
    assert "sk-secret" not in ran.err


async def test_unreachable_router_says_how_to_start_it(antiphon):
    ran = await antiphon("ask", "hi", env={"ANTIPHON_ADDRESS": "127.0.0.1:1"})
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        "antiphon: the router cannot be reached: no connection to 127.0.0.1:1; "
        "start it with `make up`, or tell where it is with --address or ANTIPHON_ADDRESS\n"
    )


async def test_failures_as_json(antiphon):
    ran = await antiphon("ask", "hi", "--json", "--address", "127.0.0.1:1")
    error = json.loads(ran.err)["error"]
    assert (ran.code, error["exit_code"], error["code"]) == (3, 3, "UNAVAILABLE")
    assert "make up" in error["remedy"]


@pytest.mark.parametrize(
    ("args", "stdin", "code", "complaint"),
    [
        (["ask", ""], None, 6, "the prompt is empty; "),
        (["ask"], b"", 6, "the prompt is empty; "),
        (["ask"], b"  \n", 6, "the prompt is empty; "),
        (["ask", b"caf\xe9"], None, 6, "the prompt is not valid UTF-8 (on the command line); convert it"),
        (["ask", "-"], b"caf\xe9", 6, "the prompt is not valid UTF-8 (on stdin, byte 3); convert it"),
        (["ask", "hi", "--model", b"\xe9"], None, 6, "not valid Unicode"),
        (["ask", "hi", "--provider", b"\xe9"], None, 6, "a provider name holds printable ASCII"),
        (["ask", "hi", "--max-tokens", "none"], None, 2, "'none' is not a number of tokens"),
        (["ask", "hi", "--temperature", "hot"], None, 2, "'hot' is not a number from 0"),
        (["ask", "hi", "--timeout", "0"], None, 2, "'0' is not a number of seconds"),
        (["ask", "hi", "--address", "nowhere"], None, 2, "'nowhere' is not host:port"),
        (["ask", "hi", "--nosuch"], None, 2, "--nosuch; see `antiphon --help`"),
        (["nosuch"], None, 2, "invalid choice: 'nosuch'"),
        ([], None, 2, "there is no command; see `antiphon --help`"),
    ],
)
async def test_wrong_input_is_told_before_anything_is_sent(antiphon, args, stdin, code, complaint):
    ran = await antiphon(*args, stdin=stdin, env={"ANTIPHON_ADDRESS": "127.0.0.1:1"})
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("antiphon: ")
    assert complaint in ran.err
    assert ran.err.count("\n") == 1


async def test_a_fault_of_our_own_is_one_line_without_its_text(start):
    program = "from antiphon_cli import __main__ as m; m.run = lambda *_: {}['sk-secret']; m.main(['version'])"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err == b"antiphon: internal error (KeyError at __main__:1); please report it\n"


async def test_version(antiphon):
    for args in (["version"], ["--version"]):
        ran = await antiphon(*args)
        assert ran.code == 0
        assert ran.out.startswith("antiphon 0.")
    assert json.loads((await antiphon("version", "--json")).out)["version"]


async def test_a_latin1_terminal_gets_escapes_not_a_failure(antiphon):
    async with ScriptedRouter(answering("✓")) as router:
        ran = await antiphon("ask", "hi", "--address", router.address, env={"PYTHONIOENCODING": "latin-1"})
    assert (ran.code, ran.out) == (0, "\\u2713\n")
