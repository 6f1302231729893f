"""A router's threads share one heap of the C library."""

import subprocess
import sys

import pytest

from antiphon_router import __main__ as program
from antiphon_router.shell import memory

THREADS = 4
COUNT = """
import ctypes, threading
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.open_memstream.restype = ctypes.c_void_p
libc.malloc_info.argtypes, libc.fclose.argtypes = (ctypes.c_int, ctypes.c_void_p), (ctypes.c_void_p,)
together = threading.Barrier({threads})
def work():
    libc.malloc(1000)
    together.wait()
workers = [threading.Thread(target=work) for _ in range({threads})]
for worker in workers: worker.start()
for worker in workers: worker.join()
text, size = ctypes.c_void_p(), ctypes.c_size_t()
stream = libc.open_memstream(ctypes.byref(text), ctypes.byref(size))
libc.malloc_info(0, stream)
libc.fclose(stream)
print(ctypes.string_at(text, size.value).count(b"<heap nr"))
"""


def heaps(first: str) -> int:
    told = subprocess.run(
        [sys.executable, "-c", first + COUNT.format(threads=THREADS)], capture_output=True, text=True, check=True
    )
    return int(told.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has more than one heap")
def test_all_threads_share_one_heap():
    if heaps("") == 1:
        pytest.skip("this C library has one heap anyway")
    assert heaps("from antiphon_router.shell.memory import one_heap; one_heap()") == 1


def test_a_router_asks_for_it_before_anything_else(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(memory, "one_heap", lambda: asked.append(True))
    assert program.main({"ANTIPHON_LISTEN": "nonsense"}) == 78
    assert asked == [True]
    assert "ANTIPHON_" in capsys.readouterr().err
