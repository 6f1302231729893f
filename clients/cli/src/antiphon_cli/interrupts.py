"""Owns the event loop of the command, in which Ctrl-C cancels what runs and surfaces as KeyboardInterrupt."""

import asyncio
import signal
import sys


def open_runner() -> asyncio.Runner:
    """asyncio's own runner, made to notice Ctrl-C at once."""
    runner = asyncio.Runner()
    if sys.platform != "win32":
        # With a handler for any signal the loop listens to all of them. Without one, a Ctrl-C just before it falls
        # asleep is noticed only with the next event, which may be never.
        runner.get_loop().add_signal_handler(signal.SIGCONT, lambda: None)
    return runner
