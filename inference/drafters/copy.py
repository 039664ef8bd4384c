"""Drafts by copying: what followed the end of the output where it stood before, in the session or in a reference.

Behind an edit it goes on at the place just behind the changed tokens. It keeps texts and reads no row of the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.drafters import NO_PROPOSAL, Generation, Proposal
from inference.sequence import common_prefix
from inference.suffix_index import LONGEST, Match, SuffixIndex

_SESSIONS = 4  # sessions that are remembered; a host serves a few programs at once
_OVERLAP = LONGEST  # so much of the common beginning is repeated behind a break, for matches across it
_ANCHORED = 4  # a copy of so many tokens is one: where it breaks off, an edit is assumed
_AHEAD, _BACK = 64, 8  # an edit drops, or repeats, at most so many tokens of the source
_PATIENCE = 128  # an edit writes at most so many tokens; a copy that has not gone on by then is over
_SURE = 8  # behind so many tokens a resumed copy is as good as any other
_SHORTEST, _REACH = 3, 3
"""A copy is followed for three times as many tokens as have agreed, and for three at the least.

Most copies that are none fail at once, and those that are go on for long: one cheap look tells which before a wide
decode is spent on it. (Qwen 1.5B rewrote three files: of 13 drafts of 31 or 63 tokens on the evidence of 2 to 6, ten
had at most 3 right, at the price of 8 to 12 plain steps each.)
"""
_STRONGER = 4  # a match elsewhere must be longer by so much than a resumed copy


class CopyDrafter:
    """``inference.drafters.Drafter`` over the texts of the last sessions; ``capacity`` is in tokens, for each."""

    name = "copy"

    def __init__(self, capacity: int = 1 << 16) -> None:
        self._capacity = capacity
        self._idle: list[_Session] = []  # least recently used first

    def begin(self, generation: Generation) -> CopyDrafting:
        """Go on with the session that the prompt continues; only what is new in it is indexed."""
        tokens = generation.request.tokens
        known = max(self._idle, key=lambda session: common_prefix(session.tokens, tokens), default=None)
        # A shared system prompt alone does not make two conversations one.
        if known is not None and 2 * common_prefix(known.tokens, tokens) >= min(len(known.tokens), len(tokens)):
            self._idle.remove(known)
            session = known
        else:
            session = _Session(SuffixIndex(self._capacity))
        session.read(generation.request.references, tokens)
        return CopyDrafting(session, self._idle)

    def close(self) -> None:
        """Forget everything."""
        self._idle.clear()


@dataclass(slots=True, eq=False)
class _Session:
    """The text of one session, which ends with ``tokens``, and the ``references`` that were put before them."""

    index: SuffixIndex
    tokens: list[int] = field(default_factory=list[int])
    references: set[int] = field(default_factory=set[int])

    def read(self, references: Sequence[Sequence[int]], tokens: Sequence[int]) -> None:
        """Index what is new; the text ends with ``tokens``."""
        new = [reference for reference in references if hash(tuple(reference)) not in self.references]
        common = common_prefix(self.tokens, tokens)
        if new or common < len(self.tokens):
            for reference in new:
                self.references.add(hash(tuple(reference)))
                self.index.break_off()
                self.index.append(reference)
            self.index.break_off()
            self.index.append(tokens[max(0, common - _OVERLAP) : common])
        self.index.append(tokens[common:])
        self.tokens[common:] = tokens[common:]


@dataclass(slots=True)
class _Anchor:
    """Where a copy broke off: the source went on at place ``at``; ``written`` tokens came instead so far."""

    at: int
    written: int = 0


class CopyDrafting:
    """One request; ``inference.drafters.Lookup``. ``idle`` takes the session back in the end."""

    def __init__(self, session: _Session, idle: list[_Session]) -> None:
        self._session = session
        self._index = session.index
        self._idle = idle
        self._forgotten = self._index.dropped
        self._anchor: _Anchor | None = None
        self._resumed = False
        self._match = self._index.find()

    def follow(self, tokens: Sequence[int], row: int) -> None:  # noqa: ARG002
        """Take in the new tokens."""
        known = self._session.tokens
        for token in tokens[len(known) :]:
            known.append(token)
            self._advance(token)

    def propose(self, limit: int, after: Sequence[int] = ()) -> Proposal:
        """The continuation of the longest match, or of the copy that an edit interrupted."""
        match, resumed = (self._index.find(after), False) if after else (self._match, self._resumed)
        if match is None:
            return NO_PROPOSAL
        ids = self._continuation(match.at, min(limit, max(_SHORTEST, _REACH * match.agreed)), len(after))
        return Proposal(ids, "resumed" if resumed else "match", match.agreed) if ids else NO_PROPOSAL

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:  # noqa: ARG002
        """Up to ``limit`` ids."""
        return self.propose(limit).ids

    def close(self) -> None:
        """The session waits for its next request."""
        self._idle.append(self._session)
        del self._idle[:-_SESSIONS]

    def _continuation(self, at: int, limit: int, ahead: int) -> list[int]:
        """Up to ``limit`` tokens from place ``at``, up to the next break; a loop that reaches the end goes round."""
        text = self._index.text
        ids = text[at : at + limit]
        broken = next((i for i, token in enumerate(ids) if token < 0), None)
        if broken is not None:
            return ids[:broken]
        if ids and not ahead:
            while len(ids) < limit:
                ids += ids[: limit - len(ids)]
        return ids

    def _advance(self, token: int) -> None:
        """One token was written."""
        index, match = self._index, self._match
        expected = index.text[match.at] if match is not None and match.at < len(index.text) else None
        index.append((token,))
        self._catch_up()
        match = self._match
        if match is not None and expected == token:
            agreed = min(match.agreed + 1, LONGEST)
            self._match = Match(match.at + 1, agreed)
            if self._resumed and agreed >= _SURE:
                self._resumed = False
                self._anchor = None
            if self._anchor is not None:
                self._anchor.written += 1
            return
        if match is not None and match.agreed >= _ANCHORED:
            self._anchor = _Anchor(match.at)
        self._search()

    def _catch_up(self) -> None:
        """Places move when the index forgets its oldest text."""
        moved = self._index.dropped - self._forgotten
        if not moved:
            return
        self._forgotten = self._index.dropped
        if self._match is not None:
            self._match = Match(self._match.at - moved, self._match.agreed) if self._match.at >= moved else None
        if self._anchor is not None:
            self._anchor.at -= moved
            self._anchor = self._anchor if self._anchor.at >= 0 else None

    def _search(self) -> None:
        """Find a new place to copy from: near the anchor, unless another one agrees in many more tokens."""
        found = self._index.find()
        behind = self._behind_edit()
        self._resumed = behind is not None and (found is None or found.agreed < behind.agreed + _STRONGER)
        self._match = behind if self._resumed else found

    def _behind_edit(self) -> Match | None:
        """Where the source goes on behind an edit, judging by the tokens that were written since."""
        anchor = self._anchor
        if anchor is None:
            return None
        anchor.written += 1
        if anchor.written > _PATIENCE:
            self._anchor = None
            return None
        end = self._index.text[-LONGEST:]
        last = len(self._index.text) - 1  # the end itself is no source
        replaced = anchor.at + anchor.written  # as many tokens were replaced as were written
        places = range(max(1, anchor.at - _BACK), min(last, anchor.at + _AHEAD) + 1)
        agreements = ((self._index.agreement(at, end), -abs(at - replaced), at) for at in places)
        agreed, _, at = max(agreements, default=(0, 0, 0))
        if agreed:
            return Match(at, min(agreed, LONGEST))
        return Match(replaced, 0) if anchor.written <= 2 and replaced < last else None
