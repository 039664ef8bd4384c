"""Which kind of text an output is in at the moment, told by the ids that open each kind.

What the kinds are comes with the request; nothing here knows a chat format.
"""

from __future__ import annotations

from collections.abc import Sequence

from inference.request import Region

PROSE = "prose"


class Regions:
    """The kind of the text behind the ids fed so far; ``kind`` at the beginning is that of an empty opening."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._sizes = sorted({len(region.opening) for region in regions} - {0}, reverse=True)
        self._kinds = {region.opening: region.kind for region in regions}
        self._longest = max(self._sizes, default=0)
        self._recent: list[int] = []
        self.kind = self._kinds.get((), PROSE)
        self._outer = PROSE

    def feed(self, ids: Sequence[int]) -> None:
        """Generated ids, in order."""
        if not self._sizes:
            return
        for token in ids:
            self._recent = [*self._recent, token][-self._longest :]
            ends = (tuple(self._recent[-size:]) for size in self._sizes)  # the longest first
            kind = next((self._kinds[end] for end in ends if end in self._kinds), None)
            if kind is not None:
                self._enter(kind)

    def _enter(self, kind: str) -> None:
        if kind == self.kind and kind != PROSE:
            self.kind = self._outer
        else:
            self._outer, self.kind = self.kind, kind
