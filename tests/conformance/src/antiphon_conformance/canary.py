"""Owns the search for a canary: a secret that must be only where it belongs, in all forms in which it could hide."""

import base64
from collections.abc import Mapping
from urllib.parse import quote


def forms(canary: str) -> Mapping[str, bytes]:
    """Every way in which it might be written, by name. Base64 depends on where in a group of three it begins."""
    raw = canary.encode()
    found = {
        "raw": raw,
        "URL-encoded": quote(canary, safe="").encode(),
        "hex": raw.hex().encode(),
        "upper-case hex": raw.hex().upper().encode(),
    }
    for offset in range(3):
        # What it shares a character with may be anything.
        first = -(-offset * 4 // 3)
        last = (offset + len(raw)) * 4 // 3
        encoded = base64.b64encode(bytes(offset) + raw)[first:last]
        found[f"base64 at {offset}"] = encoded
        found[f"base64 for URLs at {offset}"] = encoded.translate(bytes.maketrans(b"+/", b"-_"))
    return found


def search(canary: str, said: Mapping[str, bytes]) -> list[str]:
    """Where it stands in what was `said` (by whom or what), and in which form."""
    return [f"{where}: {form}" for form, data in forms(canary).items() for where, text in said.items() if data in text]
