"""The order in which ``agent fix`` tries things; pure.

Reading is done once and shared by all attempts; an answer that starts behind the suspect's own head is short (often
ten to sixty tokens). So many samples are cheaper than one long answer, and the tests are the judge. Asking again at
temperature 0 gives the same code again, so everything after the first answer is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Shape(StrEnum):
    """How an answer is made to begin."""

    BODY = "body"  # behind the head (signature and docstring) of the suspect: only its body is written
    REASON = "reason"  # with what is wrong, then the code
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. ``target`` is the suspect (0: the likeliest) that a BODY answer rewrites.

    ``feedback`` goes on from the last answer and its failure; otherwise transcript and files start afresh.
    """

    strategy: str
    temperature: float | None
    shape: Shape = Shape.FREE
    target: int = 0
    feedback: bool = False
    seed: int = 0
    max_tokens: int = 1024


def direct_attempts(suspects: int) -> Iterator[Attempt]:
    """For models that are asked for code; endless. ``suspects`` is how many definitions are shown."""
    others = max(1, min(suspects, 3))
    for target in range(min(suspects, 2)):
        yield Attempt("the likeliest answer", 0.0, Shape.BODY, target)
    turn = 0
    while True:
        yield Attempt("another sample", 0.8, Shape.BODY)
        yield Attempt("the reason first", 0.6, Shape.REASON)
        yield Attempt("another sample", 0.8, Shape.BODY)
        yield Attempt("the failure fed back", 0.7, Shape.BODY, feedback=True)
        turn += 1
        yield Attempt("another sample", 1.0, Shape.BODY, turn % others)


def tool_attempts() -> Iterator[Attempt]:
    """For models that use tools; endless."""
    while True:
        yield Attempt("with tools", None)
        yield Attempt("the failure fed back", None, feedback=True)
        yield Attempt("the failure fed back", None, feedback=True)
