import asyncio
import threading

import pytest

from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_provider_local.passage import Passage

TIMEOUT_S = 10


def in_thread(target: object, *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


async def joined(thread: threading.Thread) -> None:
    await asyncio.to_thread(thread.join, TIMEOUT_S)
    assert not thread.is_alive()


async def test_chunks_arrive_in_order_and_then_the_end() -> None:
    passage = Passage(asyncio.get_running_loop())

    def produce() -> None:
        for index in range(500):
            assert not passage.put(b"%d" % index)
        passage.end()

    thread = in_thread(produce)
    received: list[bytes] = []
    async with asyncio.timeout(TIMEOUT_S):
        while chunks := await passage.take():
            received += chunks
    assert received == [b"%d" % index for index in range(500)]
    assert await passage.take() == []
    await joined(thread)


async def test_what_piled_up_is_taken_at_once() -> None:
    passage = Passage(asyncio.get_running_loop())
    for chunk in (b"a", b"b", b"c"):
        passage.put(chunk)
    assert await passage.take() == [b"a", b"b", b"c"]


async def test_a_full_passage_blocks_its_thread_until_the_reader_takes() -> None:
    passage = Passage(asyncio.get_running_loop(), limit_bytes=10)
    passage.put(b"0123456789")
    passed = threading.Event()

    def produce() -> None:
        passage.put(b"next")
        passed.set()

    thread = in_thread(produce)
    assert not await asyncio.to_thread(passed.wait, 0.1)
    assert await passage.take() == [b"0123456789"]
    assert await passage.take() == [b"next"]
    assert passed.is_set()
    await joined(thread)


async def test_close_frees_a_blocked_thread_and_tells_it_to_stop() -> None:
    passage = Passage(asyncio.get_running_loop(), limit_bytes=1)
    passage.put(b"x")
    answers: list[bool] = []
    thread = in_thread(lambda: answers.append(passage.put(b"y")))
    passage.close()
    await joined(thread)
    assert answers == [True]
    assert passage.put(b"z") is True


async def test_a_failure_comes_after_what_arrived_before_it() -> None:
    passage = Passage(asyncio.get_running_loop())
    passage.put(b"first")
    passage.end(failure(Reason.ERROR_REASON_PROVIDER_ERROR, "gone"))
    assert await passage.take() == [b"first"]
    with pytest.raises(CallFailure, match="gone"):
        await passage.take()


async def test_cancelling_the_reader_leaves_the_passage_usable_for_closing() -> None:
    passage = Passage(asyncio.get_running_loop())
    reading = asyncio.create_task(passage.take())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    passage.close()
    assert passage.put(b"late") is True
    passage.end()
