"""Owns the head of an outgoing HTTP/1.1 request as bytes.

Forbids itself: I/O. What belongs to the connection is not the caller's to say.
"""

import re
from collections.abc import Iterable
from typing import Final

from antiphon_contract.errors import Reason, failure

_OF_THE_CONNECTION: Final = re.compile(
    r"\n(?:host|content-length|accept-encoding|transfer-encoding|connection|expect|upgrade):", re.IGNORECASE
)
_BREAKS: Final = re.compile(r"[\r\n\0]")
_CODINGS: Final = "gzip, deflate"


def request_head(
    method: str, target: str, host: str, headers: Iterable[tuple[str, str]], body_bytes: int | None
) -> bytes:
    """Request line and header fields, with the blank line.

    `target`: path and query, encoded; `body_bytes` None: no body. Raises CallFailure (INVALID_REQUEST) for a field
    that would end its line.
    """
    fields = [f"\n{name}: {value}" for name, value in headers]
    given = "".join(fields)
    if given.count("\n") > len(fields) or "\r" in given or "\0" in given:
        names = ", ".join(repr(field[1:].partition(":")[0]) for field in fields if _BREAKS.search(field, 1))
        raise failure(Reason.ERROR_REASON_INVALID_REQUEST, f"a header field holds a line break; mend {names}")
    if _OF_THE_CONNECTION.search(given):
        given = "".join(field for field in fields if not _OF_THE_CONNECTION.match(field))
    length = "" if body_bytes is None else f"\nContent-Length: {body_bytes}"
    head = f"{method} {target} HTTP/1.1\nHost: {host}\nAccept-Encoding: {_CODINGS}{given}{length}\n\n"
    return head.replace("\n", "\r\n").encode()
