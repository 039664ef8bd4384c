"""Which kind of text an output is in."""

from __future__ import annotations

from inference.regions import Regions
from inference.request import Region

THOUGHT, ANSWER, CALL, DONE, QUOTE, FENCE = 1, 2, 3, 4, 5, 6
GEMMA_LIKE = (
    Region((THOUGHT,), "thought"),
    Region((ANSWER,), "prose"),
    Region((CALL,), "arguments"),
    Region((DONE,), "prose"),
    Region((QUOTE,), "content"),
    Region((FENCE, FENCE), "content"),
)


def kinds(regions: tuple[Region, ...], *ids: int) -> list[str]:
    tracked = Regions(regions)
    found = [tracked.kind]
    for token in ids:
        tracked.feed((token,))
        found.append(tracked.kind)
    return found


def test_without_openings_everything_is_prose() -> None:
    assert kinds((), 1, 2, 3) == ["prose"] * 4


def test_each_opening_begins_its_kind() -> None:
    assert kinds(GEMMA_LIKE, THOUGHT, 9, ANSWER, 9) == ["prose", "thought", "thought", "prose", "prose"]


def test_the_same_opening_ends_what_it_began_and_the_kind_before_goes_on() -> None:
    found = kinds(GEMMA_LIKE, CALL, QUOTE, 9, QUOTE, QUOTE, QUOTE, DONE)
    assert found == ["prose", "arguments", "content", "content", "arguments", "content", "arguments", "prose"]


def test_an_opening_of_several_ids_counts_as_a_whole() -> None:
    assert kinds(GEMMA_LIKE, FENCE, 9, FENCE, FENCE, 9) == ["prose", "prose", "prose", "prose", "content", "content"]


def test_an_empty_opening_says_what_the_output_begins_as() -> None:
    assert kinds((Region((), "content"), Region((FENCE,), "content")), 9, FENCE, 9) == [
        *("content", "content", "prose", "prose")
    ]


def test_a_closing_that_closes_nothing_changes_nothing() -> None:
    assert kinds(GEMMA_LIKE, THOUGHT, ANSWER, DONE, DONE) == ["prose", "thought", "prose", "prose", "prose"]
