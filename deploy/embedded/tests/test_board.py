"""What people read: lines at each change, or a block that is updated in place."""

import io

from antiphon_embedded.board import is_terminal, make_board
from antiphon_embedded.supervisor import State, Status

SERVING = Status("router", State.SERVING, "127.0.0.1:50050")


def test_without_a_terminal_each_change_is_a_line() -> None:
    out = io.StringIO()
    board = make_board(["router", "local-1"], out, live=False, colour=True)
    board.say("waiting for router")
    board.say()
    board.show(SERVING)
    said, shown = out.getvalue().splitlines()
    assert said == "waiting for router"
    assert shown.partition(" s ")[2].strip() == "router   serving      127.0.0.1:50050"
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_the_block_is_drawn_over_itself_and_what_is_said_stays_above() -> None:
    out = io.StringIO()
    board = make_board(["local-1", "router"], out, live=True, colour=False)
    board.show(SERVING)
    board.say("hello")
    first, second = out.getvalue().split("\x1b[2A\x1b[J")
    assert [line.split()[:2] for line in first.splitlines()] == [["local-1", "starting"], ["router", "serving"]]
    assert second.splitlines()[0] == "hello"
    assert second.splitlines()[1:] == first.splitlines()


def test_colour_is_a_choice() -> None:
    out = io.StringIO()
    make_board(["router"], out, live=True, colour=True).show(SERVING)
    assert "\x1b[32mrouter" in out.getvalue()


def test_a_pipe_is_no_terminal() -> None:
    assert not is_terminal(io.StringIO(), "xterm")
