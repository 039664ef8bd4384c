"""The order in which ``agent fix`` tries things; pure.

Reading is done once and shared by all attempts; an answer that starts behind the suspect's own head is short (often
ten to sixty tokens). So many samples are cheaper than one long answer, and the tests are the judge. Asking again at
temperature 0 gives the same code again, so everything after the first answers is drawn. Between them stand changes that
nobody has to write: what the model would rather have read at one place (``agent.small_changes``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

_MOST_LINES = 24  # of a longer body, the later ones are left to the other shapes
MOST_CHANGES = 12  # where one of them is right, it is mostly among the first
_PLACES = 2  # that are tried before the next answer that may change anything
FEW_CHANGES = 3  # where tests hang, each wrong one costs seconds of waiting, and a line anew hardly more


class Shape(StrEnum):
    """How an answer is made to begin."""

    BODY = "body"  # behind the head (signature and docstring) of the suspect: only its body is written
    REASON = "reason"  # with what is wrong, then the code
    ANEW = "anew"  # like BODY, but the model is not shown the present body: it cannot copy the mistake
    LINE = "line"  # like ANEW, but behind the present lines down to one: only that line is written, the rest is kept
    FREE = "free"
    CHANGE = "change"  # a small change of the present code; the model writes nothing
    PLACE = "place"  # with tools, but the first answers can change one suspected place only
    STATED = "stated"  # a repair that the failure itself names (an import, a bracket); the model is not even asked


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. ``target`` is the suspect (0: the likeliest) that is rewritten; ``line`` counts its body's lines from 0,
    and of stated repairs, small changes and places which one it is, the likeliest first.

    ``feedback`` goes on from the last answer and its failure; otherwise transcript and files start afresh. ``wide``
    ones are shown more suspects than the likeliest.
    """

    strategy: str
    temperature: float | None
    shape: Shape = Shape.FREE
    target: int = 0
    line: int = 0
    feedback: bool = False
    wide: bool = False
    seed: int = 0
    max_tokens: int = 1024


def stated_attempts(repairs: Sequence[str]) -> Iterator[Attempt]:
    """Repairs that the failure names, in words: trying one costs a run of the tests and nothing else."""
    for number, words in enumerate(repairs):
        yield Attempt(words, 0.0, Shape.STATED, line=number)


def direct_attempts(
    suspects: int, lines: int = 0, *, changes_first: bool = False, long: bool = False, hangs: bool = False
) -> Iterator[Attempt]:
    """For models that are asked for code; endless.

    ``suspects`` is how many definitions are shown to wide attempts, ``lines`` how many lines the body of the likeliest
    has. ``changes_first`` is for failures that say themselves what is wrong at which place: ranking small changes costs
    a reading of the code, so otherwise the first answers come before them, but for a few where the body is ``long``:
    writing it takes longer than trying those. Where the tests hang, most come after the single lines. Attempts of one
    prompt follow one another, because a change of prompt has to be read.
    """
    early = FEW_CHANGES if hangs else MOST_CHANGES
    at_once = early if changes_first else FEW_CHANGES if long else 0
    yield from _small_changes(0, at_once)
    yield Attempt("the likeliest repair", 0.0, Shape.BODY)
    yield Attempt("written anew", 0.0, Shape.ANEW)
    yield from _small_changes(at_once, early)
    yield from _line_by_line(lines, 0.0)
    yield from _small_changes(early, MOST_CHANGES)
    yield Attempt("the reason first", 0.0, Shape.REASON)
    round_number = 0
    while True:
        # Every other round looks at another suspect than the likeliest.
        target = (round_number + 1) // 2 % max(1, min(suspects, 3)) if round_number % 2 else 0
        for temperature in (0.8, 0.8, 1.0):
            yield Attempt("another sample", temperature, Shape.BODY, target, wide=True)
        yield Attempt("the reason first", 0.7, Shape.REASON, wide=True)
        for temperature in (0.8, 1.0, 1.0):
            yield Attempt("written anew", temperature, Shape.ANEW, target, wide=True)
        yield from (replace(each, wide=True) for each in _line_by_line(lines, 1.0))
        yield Attempt("the failure fed back", 0.7, Shape.REASON, feedback=True)
        round_number += 1


def _small_changes(start: int, end: int) -> Iterator[Attempt]:
    for number in range(start, end):
        yield Attempt("a small change", 0.0, Shape.CHANGE, line=number)


def _line_by_line(lines: int, temperature: float) -> Iterator[Attempt]:
    """Where would the model write something else than what stands there? About twelve tokens a line."""
    for line in range(min(lines, _MOST_LINES)):
        yield Attempt(f"line {line + 1} anew", temperature, Shape.LINE, line=line)


def tool_attempts(places: int = 0, quick: Callable[[], bool] = lambda: True) -> Iterator[Attempt]:
    """For models that use tools; endless. ``places`` is how many places are suspected, ``quick`` says whether answers
    come so quickly that many can be had.

    Who was told twice what fails and did not mend it starts afresh; from then on new samples come more often than
    going on from a wrong one, which has to find two mistakes. Most of them are held to one place each: drawn freely,
    they would come back to the same few.
    """
    afresh, told = Attempt("with tools", None), Attempt("the failure fed back", None, feedback=True)
    yield from (afresh, told, told)
    number = 0
    while True:
        for after in (afresh, afresh, told):
            for _ in range(_PLACES if places and after is afresh and quick() else 0):
                yield Attempt("at another place", None, Shape.PLACE, line=number % places)
                number += 1
            yield after
