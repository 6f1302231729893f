"""Owns what every test may rely on of its process."""

import signal

# Who is started in the background by a shell without job control ignores Ctrl-C, and so would all programs that a test
# starts to interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
