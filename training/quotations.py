"""How an edit quotes a file: as little of it as names one place, from the token before the one that is wrong.

What a small model has to copy is where it goes wrong, and what it copies costs time. So an edit is no whole line: it
begins at the mistake and goes on until the piece stands in the file once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.model.formats.literal import LiteralEncoder
from inference.tokenizer import Tokenizer

Pair = tuple[str, str]
"""Text of a file, and what comes in its place."""

_BEFORE = 1  # tokens in front of the first that differs


def common_ends(old: Sequence[int], new: Sequence[int]) -> tuple[int, int]:
    """How many ids both begin with, and with how many of the others both end."""
    shorter = min(len(new), len(old))
    before = next((at for at in range(shorter) if new[at] != old[at]), shorter)
    behind = next((at for at in range(shorter - before) if new[-1 - at] != old[-1 - at]), shorter - before)
    return before, behind


@dataclass(frozen=True, slots=True)
class Quoter:
    """Quotes by the tokens of one vocabulary: ``encode`` gives the ids of a text, ``piece`` the bytes of an id."""

    encode: Callable[[str], Sequence[int]]
    piece: Callable[[int], bytes]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Quoter:
        """By the tokens that a prompt's plain text has."""
        return cls(LiteralEncoder(tokenizer).encode, tokenizer.piece)

    def shortened(self, pair: Pair, text: str) -> Pair:
        """The same change of ``text`` by a shorter quotation; the pair itself where there is none.

        ``pair`` holds whole lines that stand in the text once.
        """
        old, new = (list(self.encode(each)) for each in pair)
        before, behind = common_ends(old, new)
        # Where something is missing, what stands behind the gap is quoted, too.
        for start in range(max(0, before - _BEFORE), -1, -1):
            for left in range(min(behind, len(old) - before - 1), -1, -1):
                found = self._text(old[start : len(old) - left])
                if found and found.strip() and text.count(found) == 1:
                    wanted = self._text(new[start : len(new) - left])
                    if wanted is not None and pair[0].replace(found, wanted) == pair[1]:
                        return found, wanted
        return pair

    def _text(self, ids: Sequence[int]) -> str | None:
        """None where a character is cut in two."""
        try:
            return b"".join(map(self.piece, ids)).decode()
        except UnicodeDecodeError:
            return None
