"""The longest earlier match of the end of a growing text, against a search by brute force."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from inference.suffix_index import LEAST, LONGEST, Match, SuffixIndex

# Few different ids, so that matches are frequent and ambiguous.
TEXTS = st.lists(st.integers(0, 3), max_size=60)


def longest(text: Sequence[int], end: Sequence[int]) -> int:
    """How many tokens of ``end`` the best place inside ``text`` agrees in."""
    best = 0
    for at in range(1, len(text)):
        agreed = 0
        while agreed < min(at, len(end), LONGEST) and text[at - 1 - agreed] == end[-1 - agreed]:
            agreed += 1
        best = max(best, agreed)
    return best


def agrees(text: Sequence[int], end: Sequence[int], match: Match) -> bool:
    return match.at < len(text) and list(text[match.at - match.agreed : match.at]) == list(
        end[len(end) - match.agreed :]
    )


@given(TEXTS)
def test_a_match_is_one_and_it_is_the_longest_of_the_places_looked_at(text: list[int]) -> None:
    index = SuffixIndex()
    index.append(text)
    match = index.find()
    best = longest(text, text)
    assert (match is None) == (best < LEAST)
    if match is not None:
        assert agrees(text, text, match)
        if len(text) <= 16:  # no more places than are compared
            assert match.agreed == best


@given(TEXTS, st.lists(TEXTS, max_size=5))
def test_appending_in_pieces_finds_what_appending_at_once_finds(first: list[int], pieces: list[list[int]]) -> None:
    whole, grown = SuffixIndex(), SuffixIndex()
    whole.append([*first, *(token for piece in pieces for token in piece)])
    grown.append(first)
    for piece in pieces:
        grown.append(piece)
    assert (grown.text, grown.find()) == (whole.text, whole.find())


@given(TEXTS, st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_tokens_that_are_only_thought_of_are_matched_as_if_they_were_there(text: list[int], after: list[int]) -> None:
    index = SuffixIndex()
    index.append(text)
    match = index.find(after)
    if match is not None:
        assert agrees(text, [*text, *after], match)
    assert index.text == text


def test_nothing_matches_across_a_break() -> None:
    index = SuffixIndex()
    index.append([1, 2, 3])
    index.break_off()
    index.append([4, 5, 9, 9, 3])
    assert index.find() is None
    index.append([4, 5])
    assert index.find() == Match(at=6, agreed=2)


@given(st.lists(st.lists(st.integers(0, 3), max_size=90), max_size=8))
@example([[0] * 41])
@example([[1, 2], [0] * 90, [3]])
def test_memory_is_bounded_and_what_is_kept_is_the_end(pieces: list[list[int]]) -> None:
    index = SuffixIndex(capacity=40)
    everything: list[int] = []
    for piece in pieces:
        index.append(piece)
        everything += piece
        assert len(index.text) <= 40
        assert index.text == everything[len(everything) - len(index.text) :]
        assert index.dropped == len(everything) - len(index.text)
        match = index.find()
        assert match is None or agrees(index.text, index.text, match)
