"""The token ids of one conversation, in segments: append-only, with marks to come back to.

It renders and parses nothing; what a segment means to a model is the chat format's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.model.formats.base import Tail


class Kind(StrEnum):
    """What a segment is."""

    SYSTEM = "system"
    HISTORY = "history"  # messages that were rendered, because their sampled ids are not known
    USER = "user"
    RESULTS = "results"  # of tools
    CUE = "cue"  # asks for a response
    ANSWER = "answer"  # sampled
    THOUGHT = "thought"  # sampled; hidden once a user turn follows
    REPAIR = "repair"  # closes what a response left open
    STOP = "stop"  # the sampled id that ended a generation; the model has not read it
    LINK = "link"  # comes behind a turn
    ENDING = "ending"  # ends a turn in place of the STOP before it


@dataclass(frozen=True, slots=True)
class Segment:
    """Token ids that belong together; ``tail`` is what a transcript ends with that ends here."""

    kind: Kind
    ids: tuple[int, ...]
    tail: Tail


class Transcript:
    """What the model has read and said.

    What is to be read next is a view: segments are never changed, but thoughts before the last user turn are left out
    (unless ``keep_thoughts``), and so is a STOP that an ENDING replaced.
    """

    def __init__(self, segments: Iterable[Segment] = (), *, keep_thoughts: bool = False) -> None:
        self._segments = list(segments)
        self._keep_thoughts = keep_thoughts

    @property
    def segments(self) -> Sequence[Segment]:
        """Everything, in order."""
        return tuple(self._segments)

    @property
    def tail(self) -> Tail:
        """What it ends with."""
        return self._segments[-1].tail if self._segments else Tail.SYSTEM

    @property
    def stop_id(self) -> int | None:
        """The end-of-generation id that it ends with, if it does."""
        last = self._segments[-1] if self._segments else None
        return last.ids[-1] if last is not None and last.kind is Kind.STOP else None

    @property
    def token_count(self) -> int:
        """Number of visible ids."""
        return sum(len(segment.ids) for segment in self._visible())

    def add(self, kind: Kind, ids: Iterable[int], tail: Tail) -> None:
        """Append a segment; an empty one is left out unless it changes the tail."""
        segment = Segment(kind, tuple(ids), tail)
        if segment.ids or tail is not self.tail:
            self._segments.append(segment)

    def mark(self) -> int:
        """A point to come back to."""
        return len(self._segments)

    def rewind(self, mark: int) -> None:
        """Forget everything after ``mark``; raises ValueError for a mark that was never given or is gone."""
        if not 0 <= mark <= len(self._segments):
            raise ValueError(f"there is no mark {mark} in a transcript of {len(self._segments)} segments")
        del self._segments[mark:]

    def tokens(self) -> tuple[int, ...]:
        """All visible ids."""
        ids: list[int] = []
        for segment in self._visible():
            ids += segment.ids
        return tuple(ids)

    @property
    def static_count(self) -> int:
        """How many ids other conversations begin with too: those of the system part."""
        first = self._segments[0] if self._segments else None
        return len(first.ids) if first is not None and first.kind is Kind.SYSTEM else 0

    def checkpoints(self) -> tuple[int, ...]:
        """Token counts to which a conversation comes back: behind the system part, before each user turn, and before
        the first thought that the next user turn will hide."""
        found: set[int] = set()
        position = 0
        thought = None
        for segment in self._visible():
            if segment.kind is Kind.USER:
                found.add(position)
                thought = None
            elif segment.kind is Kind.THOUGHT and thought is None and not self._keep_thoughts:
                thought = position
            position += len(segment.ids)
            if segment.kind is Kind.SYSTEM:
                found.add(position)
        return tuple(sorted(found | ({thought} if thought is not None else set()) - {0}))

    def _visible(self) -> Iterator[Segment]:
        last_user = max((i for i, segment in enumerate(self._segments) if segment.kind is Kind.USER), default=0)
        for index, segment in enumerate(self._segments):
            if segment.kind is Kind.THOUGHT and index < last_user and not self._keep_thoughts:
                continue
            following = self._segments[index + 1] if index + 1 < len(self._segments) else None
            if segment.kind is Kind.STOP and following is not None and following.kind is Kind.ENDING:
                continue
            yield segment
