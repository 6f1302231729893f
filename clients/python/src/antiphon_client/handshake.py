"""Owns why a connection did not come about: what gRPC says in one sentence for five reasons is found out by asking.

A server that refuses a certificate closes the connection, and so does one that is just ending. Only in the first case
is the caller at fault, so it is tried once more, without gRPC and without sending anything.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from typing import Final

from antiphon_client import errors
from antiphon_contract.tls import REFUSED, TLS_EXPECTED, TlsFiles, closed_in_handshake, explanation

_LIMIT_S: Final = 2.0
_ADDRESS: Final = re.compile(r"(?:(?:dns|ipv4|ipv6):(?:///)?)?(?P<host>[^/:\[\]]+|\[[^\]]+\]):(?P<port>\d{1,5})")


async def explained(
    unreachable: errors.RouterUnreachable, details: str, address: str, tls: TlsFiles | None
) -> errors.AntiphonError:
    """`unreachable` with what is known of the handshake; Unauthenticated if it was the caller's certificate.

    `details`: of the transport's status. `tls`: what the caller shows; None: it speaks plaintext.
    """
    if closed_in_handshake(details):
        if tls is None and await _speaks_tls(address):
            return errors.unauthenticated(f"no connection to {address}: {TLS_EXPECTED}")
        if tls is not None and await _refuses(address, tls):
            return errors.unauthenticated(f"no connection to {address}: {REFUSED}")
        return unreachable
    why = explanation(details, secure=tls is not None)
    return errors.RouterUnreachable(f"no connection to {address}: {why}", code=unreachable.code) if why else unreachable


async def _speaks_tls(address: str) -> bool:
    """Whether what listens there answers a TLS greeting."""
    try:
        async with _connected(address, _context()):
            return True
    except ssl.SSLError as error:
        # It asked for a certificate in TLS 1.2 already, or was not understood.
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError, EOFError):
        return False


async def _refuses(address: str, tls: TlsFiles) -> bool:
    """Whether what listens there shakes hands and closes, instead of speaking HTTP/2."""
    context = _context()
    try:
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except OSError:
        return False
    try:
        async with _connected(address, context) as reader:
            return not await asyncio.wait_for(reader.read(1), _LIMIT_S)
    except (ssl.SSLError, ConnectionResetError):
        return True
    except (OSError, TimeoutError, EOFError):
        return False


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    # Nothing is sent and nothing believed: whether the server is trusted was gRPC's to find out.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


@contextlib.asynccontextmanager
async def _connected(address: str, context: ssl.SSLContext) -> AsyncIterator[asyncio.StreamReader]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise EOFError
    opening = asyncio.open_connection(match["host"].strip("[]"), int(match["port"]), ssl=context)
    reader, writer = await asyncio.wait_for(opening, _LIMIT_S)
    try:
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), _LIMIT_S)
