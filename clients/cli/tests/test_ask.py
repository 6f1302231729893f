"""`antiphon ask` against a scripted router: output, live streaming, settings, Ctrl-C."""

import asyncio
import json
import os
import signal

import pytest

from antiphon.llm.v1 import response_pb2
from antiphon_client.testing import ScriptedRouter, answering, begin, failed_end, finish, frame
from antiphon_contract.errors import Reason, failure


async def test_the_answer_is_on_stdout_and_nothing_else_anywhere(antiphon):
    async with ScriptedRouter(answering("Hel", "lo")) as router:
        ran = await antiphon("ask", "hi", "there", "--address", router.address)
        call = await router.calls.get()
    assert (ran.code, ran.out, ran.err) == (0, "Hello\n", "")
    assert call.prompt == "hi there"


async def test_text_is_shown_while_the_answer_still_runs(start):
    goes_on = asyncio.Event()

    async def scene(call):
        yield frame(1, *begin("first "))
        await goes_on.wait()
        yield frame(4, *finish())

    async with ScriptedRouter(scene) as router:
        process = await start("ask", "hi", "--address", router.address)
        assert await process.stdout.readexactly(6) == b"first "
        goes_on.set()
        rest, err = await process.communicate()
    assert (rest, err, process.returncode) == (b"\n", b"", 0)


async def test_verbose_adds_a_summary_on_stderr(antiphon):
    async with ScriptedRouter(answering("Hello")) as router:
        ran = await antiphon("ask", "hi", "--verbose", "--address", router.address)
    assert ran.out == "Hello\n"
    assert ran.err.startswith("[scripted m-1 | 3 in, 5 out tokens | first token ")
    assert ran.err.endswith("]\n")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("form", [[], ["--no-stream"]])
async def test_json_is_one_object(antiphon, form):
    async with ScriptedRouter(answering("Hé", "llo\n")) as router:
        ran = await antiphon("ask", "hi", "--json", *form, "--address", router.address)
    answer = json.loads(ran.out)
    assert ran.err == ""
    assert (answer["text"], answer["provider"], answer["model"]) == ("Héllo\n", "scripted", "m-1")
    assert (answer["finish_reason"], answer["usage"]["output_tokens"]) == ("STOP", 5)
    assert answer["timing"]["total_s"] > 0
    assert (answer["timing"]["time_to_first_token_s"] is None) == bool(form)


async def test_no_stream_is_a_unary_call(antiphon):
    async with ScriptedRouter(answering("Hello")) as router:
        ran = await antiphon("ask", "hi", "--no-stream", "--address", router.address)
    assert (ran.code, ran.out) == (0, "Hello\n")


async def test_options_reach_the_router(antiphon):
    options = ["--provider", "p", "--model", "m", "--system", "s", "--max-tokens", "7", "--temperature", "0.1"]
    async with ScriptedRouter(answering("x")) as router:
        await antiphon("ask", "hi", *options, "--address", router.address, env={"DEFAULT_LLM": "not/this"})
        call = await router.calls.get()
    request = call.request
    assert (request.model, call.metadata["antiphon-provider"]) == ("m", "p")
    assert (request.params.max_output_tokens, request.params.temperature) == (7, 0.1)
    assert [message.parts[0].text.text for message in request.prompt.messages] == ["s", "hi"]


async def test_settings_come_from_dotenv_and_the_environment_wins(antiphon, tmp_path):
    async with ScriptedRouter(answering("x")) as router:
        (tmp_path / ".env").write_text(
            f"ANTIPHON_ADDRESS={router.address}\nDEFAULT_LLM=local\nMAX_TOKENS=9\nOPENAI_API_KEY=sk-1\n"
        )
        await antiphon("ask", "hi", env={"MAX_TOKENS": "11"})
        first = await router.calls.get()
        await antiphon("ask", "hi", "--provider", "other")
        second = await router.calls.get()
    assert (first.request.model, first.request.params.max_output_tokens) == ("local", 11)
    assert (second.request.model, second.request.params.max_output_tokens) == ("", 9)


@pytest.mark.parametrize("words", [[], ["-"]])
async def test_the_prompt_may_come_from_stdin(antiphon, words):
    async with ScriptedRouter(answering("x")) as router:
        await antiphon("ask", *words, "--address", router.address, stdin="zwei\nZeilen ü\n".encode())
        assert (await router.calls.get()).prompt == "zwei\nZeilen ü"


async def test_20_mb_reach_the_router_which_says_no(antiphon):
    refused = failure(Reason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED, "5000000 tokens do not fit into 8192.")
    seen = []

    async def scene(call):
        seen.append(len(call.prompt))
        for nothing in ():
            yield nothing
        raise refused

    async with ScriptedRouter(scene) as router:
        ran = await antiphon("ask", "--address", router.address, stdin=b"word " * 4_000_000)
    assert seen == [20_000_000]
    assert (ran.code, ran.out) == (6, "")
    assert ran.err == (
        "antiphon: 5000000 tokens do not fit into 8192; "
        "shorten the prompt or take a model with a larger window, see `antiphon models`\n"
    )


async def test_more_than_any_router_takes_is_not_sent(antiphon):
    ran = await antiphon("ask", stdin=b"x" * (64 * 1024 * 1024 + 1))
    assert (ran.code, ran.err) == (6, "antiphon: the prompt on stdin is larger than 64 MiB; shorten it\n")


async def test_a_cut_answer_shows_what_came_then_one_line_and_code_9(antiphon):
    cut = failure(Reason.ERROR_REASON_STREAM_INTERRUPTED, "the provider hung up")

    async def scene(call):
        yield frame(1, *begin("half an ans"))
        yield frame(4, failed_end(cut))
        raise cut

    async with ScriptedRouter(scene) as router:
        ran = await antiphon("ask", "hi", "--address", router.address)
        as_json = await antiphon("ask", "hi", "--json", "--address", router.address)
    assert (ran.code, ran.out) == (9, "half an ans\n")
    assert ran.err == "antiphon: the provider hung up; the answer is not whole, ask again\n"
    assert (as_json.code, as_json.out) == (9, "")
    error = json.loads(as_json.err)["error"]
    assert (error["reason"], error["partial_text"]) == ("STREAM_INTERRUPTED", "half an ans")


async def test_time_limit(antiphon):
    async def scene(call):
        yield frame(1, *begin("slow"))
        await call.done.wait()

    async with ScriptedRouter(scene) as router:
        ran = await antiphon("ask", "hi", "--timeout", "1", "--address", router.address)
    assert (ran.code, ran.out) == (10, "slow\n")
    assert "; allow more time with --timeout or LLM_TIMEOUT\n" in ran.err


async def test_ctrl_c_cancels_upstream_and_gives_130(start):
    async def scene(call):
        yield frame(1, *begin("first"))
        await call.done.wait()

    async with ScriptedRouter(scene) as router:
        process = await start("ask", "hi", "--address", router.address)
        assert await process.stdout.readexactly(5) == b"first"
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        call = await router.calls.get()
        await call.done.wait()
    assert call.cancelled
    assert (process.returncode, out, err) == (130, b"\n", b"antiphon: cancelled\n")


async def test_a_reader_that_goes_away_ends_it_quietly_and_cancels_upstream(start):
    async def scene(call):
        yield frame(1, *begin("first"))
        sequence = 4
        while True:
            await asyncio.sleep(0.01)
            yield frame(sequence, *begin("more")[2:])
            sequence += 1

    async with ScriptedRouter(scene) as router:
        reading, writing = os.pipe()
        process = await start("ask", "hi", "--address", router.address, stdout=writing)
        os.close(writing)
        call = await router.calls.get()
        os.close(reading)
        _, err = await process.communicate()
        await call.done.wait()
    assert call.cancelled
    assert (process.returncode, err) == (141, b"")


async def test_a_full_disk_is_told(start):
    async with ScriptedRouter(answering("x")) as router:
        full = os.open("/dev/full", os.O_WRONLY)
        process = await start("ask", "hi", "--address", router.address, stdout=full)
        os.close(full)
        _, err = await process.communicate()
    assert (process.returncode, err) == (1, b"antiphon: input or output failed: No space left on device\n")


async def test_an_answer_ended_by_the_token_limit_says_so(antiphon):
    async def scene(call):
        yield frame(1, *begin("so far"), *finish(response_pb2.FINISH_REASON_MAX_OUTPUT_TOKENS))

    async with ScriptedRouter(scene) as router:
        ran = await antiphon("ask", "hi", "--verbose", "--address", router.address)
    assert (ran.code, ran.out) == (0, "so far\n")
    assert "ended by max_output_tokens]" in ran.err
