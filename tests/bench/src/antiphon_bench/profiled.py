"""Owns a program run under the profiler: `python -m antiphon_bench.profiled DUMP MODULE` is `python -m MODULE`.

The profile counts CPU time: on the clock, waiting for calls would be the most expensive thing a server does.
"""

import cProfile
import runpy
import sys
import time


def main(dump: str, module: str) -> None:
    """Run the module as a program; write the profile when it ends, however it ends."""
    sys.argv = [module]
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        profile.disable()
        profile.dump_stats(dump)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
