"""What the passages of an output may say when they end: what no grammar can express, because it depends on other text.

Which passages there are comes with the request; nothing here knows a chat format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice

from inference.request import Passage


class Passages:
    """Where an output stands in its passages; tell it every token with ``feed``. ``piece`` gives a token's bytes."""

    def __init__(self, rules: Sequence[Passage], piece: Callable[[int], bytes]) -> None:
        self._rules = rules
        self._piece = piece
        self._marks = frozenset(rule.mark for rule in rules)
        self._open: Passage | None = None
        self._inside = False  # of any two marks
        self._text = b""
        self._last: bytes | None = None  # what the last passage was
        self._exempt = False

    def holds_back(self, token_id: int) -> bool:
        """Whether the token would end the present passage where it may not end."""
        if self._open is None or token_id != self._open.mark or self._exempt:
            return False
        if self._open.unlike and self._text == self._last:
            return True
        texts = self._open.once_in
        return bool(texts) and not any(_stands_once(self._text, text.encode()) for text in texts)

    def exempt(self) -> None:
        """Let the present passage end as it is: it cannot go on."""
        self._exempt = True

    def held_back(self) -> int | None:
        """The token that may not come now; None where there is none."""
        return self._open.mark if self._open and self.holds_back(self._open.mark) else None

    def feed(self, token_id: int) -> None:
        """The next generated token."""
        if token_id not in self._marks:
            self._text += self._piece(token_id)
            return
        if self._open is not None:
            self._last = self._text
        opened = (rule for rule in self._rules if rule.mark == token_id and self._text.endswith(rule.opening.encode()))
        self._open = None if self._inside else next(opened, None)
        self._inside = not self._inside
        self._text, self._exempt = b"", False


def _stands_once(piece: bytes, text: bytes) -> bool:
    first = text.find(piece) if piece.strip() else -1  # blanks name no place
    if first < 0 or text.find(piece, first + 1) < 0:
        return first >= 0
    whole = re.finditer(rb"^[ \t]*" + re.escape(piece) + rb"[ \t]*$", text, re.MULTILINE)
    return len(list(islice(whole, 2))) == 1
