"""Owns a small deployment of real processes: replicas of one provider behind one router, over a scripted vendor."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from antiphon_conformance.outcome import Target
from antiphon_conformance.program import Launch, Program, routed, started
from antiphon_conformance.vendor.stage import Vendor

KEY = "sk-canary-5f1d0a7be3c94e20"
OPENAI = Launch(
    "antiphon_provider_openai",
    {
        "OPENAI_BASE_URL": "{vendor}/v1",
        "OPENAI_API_KEY": "{key}",
        "ANTIPHON_LOG_LEVEL": "debug",
        "ANTIPHON_STATE_DOMAIN": "fleet",
        "ANTIPHON_LISTEN": "{listen}",
    },
)


class Fleet:
    """The running processes."""

    def __init__(self, vendor: Vendor, stack: contextlib.ExitStack, count: int) -> None:
        self._vendor = vendor
        self._stack = stack
        launches = [self._launch("127.0.0.1:0") for _ in range(count)]
        with ThreadPoolExecutor(count) as pool:  # Python takes a second to come up; together they take little more
            self.replicas = list(pool.map(_serving, launches))
        for launch in launches:
            stack.push(launch)
        addresses = [replica.address for replica in self.replicas]
        self.router = stack.enter_context(routed({"openai": addresses}, ANTIPHON_LOG_LEVEL="debug"))
        self.target = Target(self.router.address, "openai", routed=True)

    def start(self, listen: str = "127.0.0.1:0") -> Program:
        """One more replica; the router knows it only if it takes the address of an old one."""
        return self._stack.enter_context(self._launch(listen))

    def _launch(self, listen: str) -> contextlib.AbstractContextManager[Program]:
        return started(OPENAI, vendor=self._vendor.url, key=KEY, listen=listen)

    @property
    def programs(self) -> list[Program]:
        return [*self.replicas, self.router]


def _serving(launch: contextlib.AbstractContextManager[Program]) -> Program:
    program = launch.__enter__()
    program.until_serving()
    return program


@contextlib.contextmanager
def fleet(vendor: Vendor, count: int = 3) -> Iterator[Fleet]:
    with contextlib.ExitStack() as stack:
        yield Fleet(vendor, stack, count)
