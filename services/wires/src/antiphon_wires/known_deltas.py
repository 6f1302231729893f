"""Owns what deltas of text looked like in the answers before, so that their like need not be learned in the next one.

A shape once proven is proven for good: it is bytes, and bytes mean the same in every answer. Where a vendor writes an
id into each event, nothing that is kept fits again, and nothing is lost but a look.

Forbids itself: anything of what an answer said.
"""

from typing import Final

from antiphon_wires.plain_delta import PlainDelta

_MAX_PLACES: Final = 64
_MAX_BYTES: Final = 1024


class KnownDeltas:
    """The last shape by the place in which it was met: a block's position, and the member that holds its text."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[int, str], PlainDelta] = {}

    def get(self, position: int, member: str) -> PlainDelta | None:
        """What further text there looked like the last time."""
        return self._shapes.get((position, member))

    def keep(self, position: int, member: str, shape: PlainDelta | None) -> None:
        """It looks like this now; None: it could not be told apart, which says nothing of the next answer."""
        place = (position, member)
        if shape is None or shape.around_bytes > _MAX_BYTES:
            return
        if len(self._shapes) < _MAX_PLACES or place in self._shapes:
            self._shapes[place] = shape
