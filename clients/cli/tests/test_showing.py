"""What is shown of an answer that begins anew: marked where people read it, left out where it is final."""

import io

import pytest

from antiphon.llm.v1 import response_pb2
from antiphon_cli.screen import Screen
from antiphon_cli.showing import VOID, shown
from antiphon_client import AsyncClient, StreamInterrupted
from antiphon_client.testing import ScriptedRouter, begin, delta, failed_end, finish, frame
from antiphon_contract.errors import Reason, failure

RESTART = response_pb2.StreamEvent(restart=response_pb2.Restart(voided_attempt=1, next_attempt=2, voided_events=4))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def anew(call):
    assert call.metadata["antiphon-after-content"] == "restart"
    yield frame(1, *begin("wrong "), delta("turn"))
    yield frame(0, RESTART)
    yield frame(1, *begin("right"), *finish(event_count=6))


async def broken(call):
    yield frame(1, *begin("so "), delta("far"))
    yield frame(5, failed_end(failure(Reason.ERROR_REASON_STREAM_INTERRUPTED, "cut")))


@pytest.mark.parametrize(
    ("out", "text"), [(Terminal(), f"wrong turn\n{VOID}\nright"), (io.StringIO(), "right")], ids=["terminal", "pipe"]
)
async def test_an_answer_that_begins_anew(out, text):
    async with (
        ScriptedRouter(anew) as router,
        AsyncClient(router.address) as client,
        client.stream("hi", after_content="restart") as stream,
    ):
        answer = await shown(stream, Screen(out=out), provisional=True)
    assert out.getvalue() == text
    assert (answer.text, answer.restarts) == ("right", 1)


@pytest.mark.parametrize("out", [Terminal(), io.StringIO()], ids=["terminal", "pipe"])
async def test_what_came_of_a_broken_answer_stays(out):
    async with (
        ScriptedRouter(broken) as router,
        AsyncClient(router.address) as client,
        client.stream("hi", after_content="restart") as stream,
    ):
        with pytest.raises(StreamInterrupted):
            await shown(stream, Screen(out=out), provisional=True)
    assert out.getvalue() == "so far"


async def test_the_command_asks_for_it_and_writes_only_what_counts(antiphon):
    async with ScriptedRouter(anew) as router:
        ran = await antiphon("ask", "hi", "--after-content", "restart", "--address", router.address)
    assert (ran.code, ran.out, ran.err) == (0, "right\n", "")
