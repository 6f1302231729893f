"""The sync face: the same answers and errors, and Ctrl-C reaches the server."""

import asyncio
import signal
import subprocess
import sys
import threading

import pytest

from antiphon_client import Client, errors
from antiphon_client.blocking import _Job
from antiphon_client.testing import ScriptedRouter, answering, begin, frame


@pytest.fixture
def serve():
    """Runs a scripted router on a loop in a thread of its own, for tests without one; gives both."""
    stops = []

    def start(scene):
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        router = asyncio.run_coroutine_threadsafe(ScriptedRouter(scene).__aenter__(), loop).result()
        stops.append((loop, thread, router))
        return router, loop

    yield start
    for loop, thread, router in stops:
        asyncio.run_coroutine_threadsafe(router.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_generate_stream_and_count(serve):
    router, _ = serve(answering("Hel", "lo"))
    with Client(router.address) as client:
        assert client.generate("hi").text == "Hello"
        assert client.count_tokens("one two").input_tokens == 2
        assert client.models() == []
        with client.stream("hi") as stream:
            assert stream.granted() == "fail"
            assert list(stream.text()) == ["Hel", "lo"]
            assert stream.response().usage.output_tokens == 5


def test_errors_are_the_same_and_close_can_be_repeated(serve):
    client = Client("127.0.0.1:1")
    with pytest.raises(errors.RouterUnreachable):
        client.generate("hi")
    with pytest.raises(errors.InvalidRequest):
        client.generate("")
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.generate("hi")
    assert "antiphon-client" not in {thread.name for thread in threading.enumerate()}


def test_leaving_a_stream_early_cancels_upstream(serve):
    async def scene(call):
        yield frame(1, *begin("first"))
        await call.done.wait()

    router, loop = serve(scene)
    with Client(router.address) as client:
        with client.stream("hi") as stream:
            assert next(stream.text()) == "first"
        assert asyncio.run_coroutine_threadsafe(_cancelled(router), loop).result()


async def _silent(call):
    await call.done.wait()
    for nothing in ():
        yield nothing


def test_an_interrupt_before_the_wait_begins_cancels_the_call_too(serve, monkeypatch):
    router, loop = serve(_silent)
    with Client(router.address) as client:
        hand_over = client._loop._loop.call_soon_threadsafe

        def interrupted(*work):
            hand_over(*work)
            monkeypatch.undo()
            call = asyncio.run_coroutine_threadsafe(router.calls.get(), loop).result()
            router.calls.put_nowait(call)
            raise KeyboardInterrupt

        monkeypatch.setattr(client._loop._loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.generate("hi")
        assert asyncio.run_coroutine_threadsafe(_cancelled(router), loop).result()


def test_a_call_that_another_thread_ends_by_closing_the_client_tells_how_it_ended(serve, monkeypatch):
    router, loop = serve(_silent)
    client, closed, told = Client(router.address), threading.Event(), []
    wait = _Job.wait

    def once_closed(job):
        # It looks how its call ended when nothing is left of the loop.
        closed.wait()
        return wait(job)

    def call():
        try:
            client.generate("hi")
        except (errors.AntiphonError, RuntimeError) as error:
            told.append(error)

    thread = threading.Thread(target=call)
    monkeypatch.setattr(_Job, "wait", once_closed)
    thread.start()
    asyncio.run_coroutine_threadsafe(router.calls.get(), loop).result()
    monkeypatch.undo()
    client.close()
    closed.set()
    thread.join()
    assert [type(error) for error in told] == [errors.Cancelled]


def test_ctrl_c_cancels_the_call_that_is_waited_for(serve):
    router, loop = serve(_silent)
    program = (
        "import sys\nfrom antiphon_client import Client\n"
        "with Client(sys.argv[1]) as client:\n"
        "    try:\n        client.generate('hi')\n"
        "    except KeyboardInterrupt:\n        print('interrupted', flush=True)\n        sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", program, router.address], **pipes)
    call = asyncio.run_coroutine_threadsafe(router.calls.get(), loop).result()
    router.calls.put_nowait(call)
    process.send_signal(signal.SIGINT)
    assert asyncio.run_coroutine_threadsafe(_cancelled(router), loop).result()
    out, _ = process.communicate()
    assert (out, process.returncode) == (b"interrupted\n", 0)


async def _cancelled(router):
    call = await router.calls.get()
    await call.done.wait()
    return call.cancelled
