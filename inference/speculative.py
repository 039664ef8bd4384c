"""How a draft is judged and how long it can be; pure.

It neither drafts nor decodes; how long a draft should be is ``inference.controller``'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """``ids`` are the tokens that the target chose; the first ``accepted`` of them are the draft's own."""

    ids: tuple[int, ...]
    accepted: int


def verify(draft: Sequence[int], choose: Callable[[int], int], is_last: Callable[[int], bool]) -> Verdict:
    """Let the target choose a token behind each drafted one, until it disagrees with the draft or ends.

    ``choose(row)`` draws the target's token from row ``row`` (row 0 follows the last token before the draft);
    ``is_last(token)`` tells whether generation ends with that token. Rows are drawn in order and none is drawn in vain.

    The target's own draw decides at each place, so the output is what the target alone would have written, at any
    temperature and with the same random numbers. For a drafter that proposes single tokens this is rejection sampling:
    a draft token x is kept with the target's probability of x.
    """
    ids: list[int] = []
    for row in range(len(draft) + 1):
        ids.append(choose(row))
        agrees = row < len(draft) and ids[-1] == draft[row]
        if not agrees:
            return Verdict(tuple(ids), row)
        if is_last(ids[-1]):
            return Verdict(tuple(ids), row + 1)
    raise AssertionError("the row behind the draft has nothing to agree with")


def draft_limit(batch_room: int, context_room: int, output_room: int) -> int:
    """The longest draft that there is room for; 0 or more.

    The batch also holds the last token, and so does the context; the output also gets the token behind the draft.
    Each room counts tokens.
    """
    return max(0, min(batch_room, context_room, output_room) - 1)
