"""Owns which items of an answer are open, and that each ends once."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from antiphon_wires import json_text
from antiphon_wires.event_stream import Events
from antiphon_wires.json_text import string
from antiphon_wires.openai_responses.answer import Answer
from antiphon_wires.openai_responses.hosted_items import open_item
from antiphon_wires.openai_responses.items import CallItem, Item

Key: TypeAlias = int | str
"""`output_index`, else the id of the item."""


class OpenItems:
    """Parts keep the order in which their items were announced."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._open: dict[Key, Item] = {}
        self._ended: set[Key] = set()
        self._undecided: CallItem | None = None

    def get(self, key: Key) -> Item | None:
        """The open item."""
        return self._open.get(key)

    def announce(self, key: Key, item: dict[str, Any], out: Events) -> Item:
        """The open item; a new one if there is none."""
        found = self._open.get(key)
        if found is None:
            self._ended.discard(key)
            self._settle(out, cut=False)
            for other in self._open.values():
                other.begin(out)
            found = self._open[key] = open_item(self._answer, item, out)
        return found

    def end(self, key: Key, item: dict[str, Any], raw: bytes, out: Events) -> bool:
        """The item is complete; whether every member of it has a meaning here. `raw` is `item` verbatim."""
        if key in self._ended and key not in self._open:
            return False
        found = self.announce(key, item, out)
        del self._open[key]
        self._ended |= {key, string(item, "id") or key}
        known = found.end(item, raw, out)
        if isinstance(found, CallItem):
            self._settle(out, cut=False)
            self._undecided = found
        return known

    def _settle(self, out: Events, *, cut: bool) -> None:
        if self._undecided is not None:
            self._undecided.settle(out, cut=cut)
            self._undecided = None

    def finish(self, response: dict[str, Any], payload: bytes, out: Events, *, cut: bool) -> Iterator[msgspec.Raw]:
        """End what the vendor did not, with what it says of it now. Yields the items that hold something unknown.

        `cut`: a limit ended the answer.
        """
        output = response.get("output")
        for at, item in enumerate(output if isinstance(output, list) else ()):
            if not isinstance(item, dict):
                continue
            key: Key = at if at in self._open else string(item, "id") or at
            if at in self._ended or key in self._ended:
                continue
            raw = json_text.dig(payload, "response", "output", at)
            if not self.end(key, item, bytes(raw), out):
                yield raw
        for key in list(self._open):
            self.end(key, {}, b"{}", out)
        self._settle(out, cut=cut)
