"""From an exchange to batches: one per read, the end of the body, and what is no stream."""

import pytest
from chat_wire import ROLE, STOP, chunk, sse, stream

from antiphon_contract.errors import CallFailure, Reason, call_error, reason_name
from antiphon_wires.streamed_answer import Batches, is_stream, no_stream

WHOLE = sse(ROLE, chunk({"content": "a"}), STOP, done=False)
RESET = CallFailure(call_error(Reason.ERROR_REASON_PROVIDER_ERROR, "the connection broke"))


class Exchange:
    """Gives `reads` one by one, raises those that are exceptions."""

    def __init__(self, *reads):
        self._reads = list(reads)
        self.rest_read = False

    async def next_chunk(self):
        read = self._reads.pop(0) if self._reads else b""
        if isinstance(read, Exception):
            raise read
        return read

    async def read_rest(self):
        self.rest_read = True


async def read(*reads):
    exchange = Exchange(*reads)
    return [batch async for batch in Batches(exchange, stream())], exchange


def texts(found):
    return ["".join(event.text_delta for event in batch) for batch in found]


async def test_one_batch_for_each_read_that_says_anything():
    found, exchange = await read(b": ping\n\n", WHOLE, b"da", b"ta: [DONE]\n\n", b"not read")
    assert texts(found) == ["a", ""]
    assert exchange.rest_read


async def test_a_body_that_ends_without_an_end_mark():
    found, exchange = await read(WHOLE)
    assert texts(found) == ["a", ""]
    assert not exchange.rest_read


async def test_a_whole_answer_may_lose_the_end_of_its_body():
    found, _ = await read(WHOLE, RESET)
    assert found[-1][-1].HasField("candidate_end")


async def test_half_an_answer_may_not():
    found = Batches(Exchange(sse(ROLE, chunk({"content": "a"}), done=False), RESET), stream())
    assert texts([await anext(found)]) == ["a"]
    with pytest.raises(CallFailure) as raised:
        await anext(found)
    assert raised.value is RESET


async def test_what_went_wrong_comes_after_what_was_read():
    found = Batches(Exchange(sse(ROLE, chunk({"content": "a"}), b"{", done=False)), stream())
    assert texts([await anext(found)]) == ["a"]
    with pytest.raises(CallFailure, match="UPSTREAM_PROTOCOL"):
        await anext(found)


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [("text/event-stream", True), ("text/plain", True), (None, True), ("Application/JSON; charset=utf-8", False)],
)
async def test_what_is_surely_something_else_is_no_stream(kind, is_one):
    headers = {} if kind is None else {"content-type": kind}
    assert is_stream(headers) is is_one
    error = no_stream("p", "m", headers)
    assert reason_name(error.reason) == "UPSTREAM_PROTOCOL"
    assert ("no type" if kind is None else kind.partition(";")[0].lower()) in error.message
