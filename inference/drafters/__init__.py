"""The Drafter protocol: who proposes tokens that the target model then verifies in one pass.

Each drafter has a module of its own here; which one is asked, and for how much, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from inference.request import Request


@dataclass(frozen=True, slots=True)
class Generation:
    """What a drafter may know of the request it drafts for.

    ``sequence`` is the KV sequence that the target decodes it in. ``forced`` gives the tokens that a grammar leaves no
    choice about at this moment (often none).
    """

    request: Request
    sequence: int
    forced: Callable[[], Sequence[int]]


class Drafting(Protocol):
    """A drafter's state for one request; several requests may be under way at once, each with its own.

    Contract: ``follow`` after the prefill and after every verification, then ``draft`` whenever wanted, in the end
    ``close``. ``tokens`` are all tokens so far, prompt and output, from position 0. Its last one has been chosen but
    not yet decoded by the target. ``row`` is the row of the target's last decode from which that token was drawn: until
    ``follow`` returns, the target's logits and hidden state of this row can be read; between two calls the target may
    have decoded for other requests. Nothing that a drafter does may change what the target computes.
    """

    def follow(self, tokens: Sequence[int], row: int) -> None:
        """The target has moved on to ``tokens``, whether or not this drafter's proposal was used."""
        ...

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """Up to ``limit`` (at least 1) ids that may follow ``tokens``; none when there is nothing worth proposing."""
        ...

    def close(self) -> None:
        """The request has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """``ids`` that may follow; what speaks for the first: ``agreed`` tokens before it agree with its source.

    Each id that proves right adds one to that. ``grounds`` names the kind of source; how often drafts are right is
    counted by grounds and agreement.
    """

    ids: Sequence[int]
    grounds: str
    agreed: int


NO_PROPOSAL = Proposal((), "", 0)


class Lookup(Drafting, Protocol):
    """A Drafting that looks its tokens up, so that asking costs next to nothing and may be done at every step."""

    def propose(self, limit: int, after: Sequence[int] = ()) -> Proposal:
        """Up to ``limit`` ids that may follow the tokens so far and then ``after``."""
        ...


class LookupDrafter(Protocol):
    """A Drafter whose Draftings are Lookups."""

    @property
    def name(self) -> str:
        """A short name for statistics."""
        ...

    def begin(self, generation: Generation) -> Lookup:
        """A request begins; others may be under way."""
        ...

    def close(self) -> None:
        """Free what is held; after every Lookup was closed."""
        ...


class Prediction(Drafting, Protocol):
    """A Drafting that computes its tokens, which takes time."""

    def wait_ms(self, tokens: Sequence[int]) -> float:
        """How long ``draft`` will work, in milliseconds, before it comes to its first id."""
        ...


class Drafter(Protocol):
    """Proposes likely next tokens; lives in the thread that owns the target."""

    @property
    def name(self) -> str:
        """A short name for statistics."""
        ...

    def begin(self, generation: Generation) -> Prediction:
        """A request begins; others may be under way."""
        ...

    def close(self) -> None:
        """Free native memory; called before the target is freed, and after every Drafting was closed."""
        ...
