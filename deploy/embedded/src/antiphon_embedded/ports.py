"""Owns the question whether an address can be served on, asked before anything is started."""

import errno
import socket
from collections.abc import Iterable


def problem(address: str) -> str:
    """What keeps us from serving on `host:port`; empty when nothing does."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As servers do it: connections of a predecessor that linger in TIME_WAIT are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
            probe.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "in use by another program"
        if error.errno == errno.EACCES:
            return "not permitted; ports below 1024 need privileges"
        return "not an address of this machine"
    return ""


def duplicates(addresses: Iterable[str]) -> list[str]:
    """Addresses that occur more than once; port 0 may."""
    seen: set[str] = set()
    twice = []
    for address in addresses:
        if address in seen and not address.endswith(":0"):
            twice.append(address)
        seen.add(address)
    return twice


def free_address() -> str:
    """A loopback address that was free a moment ago; for what cannot tell which port it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
