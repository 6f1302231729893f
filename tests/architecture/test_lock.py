"""The lock pins everything by hash and names no index (docs/adr/0001)."""

import re

from workspace import ROOT

LOCK = (ROOT / "requirements.lock").read_text()


def test_the_lock_names_no_address():
    assert "://" not in LOCK
    assert "index" not in LOCK.lower().replace("indexes", "")


def test_every_distribution_is_pinned_with_hashes():
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.strip())
    assert len(entries) > 50
    assert all(re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==[^ ]+ .*\\\n +--hash=sha256:", entry, re.S) for entry in entries)
