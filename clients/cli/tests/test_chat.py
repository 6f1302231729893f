"""`antiphon chat` on a real terminal (a pty) and from a pipe."""

import asyncio
import os
import pty
import sys

import pytest

from antiphon_client.testing import ScriptedRouter, answering, begin, failing, frame
from antiphon_contract.errors import Reason, failure

# The terminal must be the controlling one, or Ctrl-C would be a mere character.
ON_A_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from antiphon_cli.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


class Terminal:
    """The other end of a pty: type into it, wait for what it shows."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._shown = ""
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            self._shown += os.read(self._descriptor, 65536).decode()
        except OSError:  # the other side is closed
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._news.set()

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def shows(self, text: str) -> str:
        """Everything up to and with `text`; it counts as read then."""
        while text not in self._shown:
            self._news.clear()
            await self._news.wait()
        seen, _, self._shown = self._shown.partition(text)
        return seen + text

    async def press_until(self, key: str, text: str) -> None:
        """Press like a person does: readline overlooks a Ctrl-C between showing its prompt and waiting for keys."""
        while True:
            self.type(key)
            try:
                async with asyncio.timeout(2):
                    await self.shows(text)
            except TimeoutError:
                continue
            return

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)


@pytest.fixture
async def on_terminal(tmp_path):
    opened = []

    async def start(*args):
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ON_A_TERMINAL, *args),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=tmp_path,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(theirs)
        terminal = Terminal(ours)
        opened.append((process, terminal))
        return process, terminal

    yield start
    for process, terminal in opened:
        if process.returncode is None:
            process.kill()
            await process.wait()
        terminal.close()


async def test_turns_history_clear_and_the_end(on_terminal):
    async with ScriptedRouter(answering("Hel", "lo")) as router:
        process, terminal = await on_terminal("chat", "--system", "be brief", "--address", router.address)
        await terminal.shows("/exit or Ctrl-D ends")
        await terminal.shows("> ")
        for text in ("one", "two", "/clear", "three"):
            terminal.type(f"{text}\n")
            await terminal.shows("> ")
        terminal.type("\x04")
        assert await process.wait() == 0
    sent = [router.calls.get_nowait() for _ in range(3)]
    assert [[message.parts[0].text.text for message in call.request.prompt.messages] for call in sent] == [
        ["be brief", "one"],
        ["be brief", "one", "Hello", "two"],
        ["be brief", "three"],
    ]


async def test_ctrl_c_cancels_the_answer_upstream_and_the_talk_goes_on(on_terminal):
    async def scene(call):
        yield frame(1, *begin("long story"))
        await call.done.wait()

    async with ScriptedRouter(scene) as router:
        process, terminal = await on_terminal("chat", "--address", router.address)
        await terminal.shows("> ")
        terminal.type("tell me\n")
        await terminal.shows("long story")
        terminal.type("\x03")
        await terminal.shows("cancelled; this turn is forgotten")
        call = await router.calls.get()
        await call.done.wait()
        assert call.cancelled
        router.scene = answering("short one")
        await terminal.shows("> ")
        terminal.type("again\n")
        await terminal.shows("short one")
        await terminal.shows("> ")
        await terminal.press_until("\x03", "Ctrl-D or /exit ends the chat")
        await terminal.shows("> ")
        terminal.type("/exit\n")
        assert await process.wait() == 0
        call = await router.calls.get()
    assert [message.parts[0].text.text for message in call.request.prompt.messages] == ["again"]


async def test_a_failed_turn_is_one_line_and_the_talk_goes_on(on_terminal):
    refused = failure(Reason.ERROR_REASON_RATE_LIMITED, "slow down", retry_delay_s=3)
    async with ScriptedRouter(failing(refused)) as router:
        process, terminal = await on_terminal("chat", "--address", router.address)
        await terminal.shows("> ")
        terminal.type("hi\n")
        await terminal.shows("antiphon: slow down; try again in 3 s")
        await terminal.shows("> ")
        terminal.type("\x04")
        assert await process.wait() == 0


async def test_a_models_control_characters_do_not_reach_the_terminal(on_terminal):
    async with ScriptedRouter(answering("a\x1b]0;title\x07b")) as router:
        process, terminal = await on_terminal("ask", "hi", "--address", router.address)
        shown = await terminal.shows("]\r\n")
        await process.wait()
    assert "a�]0;title�b" in shown
    assert "[scripted m-1 | 3 in, 5 out tokens" in shown


async def test_a_script_may_talk_too_and_hears_of_failures(antiphon):
    async with ScriptedRouter(answering("Hello")) as router:
        ran = await antiphon("chat", "--address", router.address, stdin=b"one\n\n/clear\ntwo\n/exit\nnever\n")
        assert router.calls.qsize() == 2
        router.scene = failing(failure(Reason.ERROR_REASON_QUOTA_EXHAUSTED, "no credit"))
        failed = await antiphon("chat", "--address", router.address, stdin=b"one\ntwo\n")
        assert router.calls.qsize() == 3
    assert (ran.code, ran.out, ran.err) == (0, "Hello\nHello\n", "")
    assert (failed.code, failed.err.count("\n")) == (7, 1)


async def test_a_script_line_that_is_not_utf8(antiphon):
    ran = await antiphon("chat", stdin=b"caf\xe9\n")
    assert (ran.code, ran.err) == (6, "antiphon: that line is not valid UTF-8; write it again in UTF-8\n")
