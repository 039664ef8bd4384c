"""What continuations begin with alike is decoded once, and every score is the one of its own beginning."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inference.score_tree import ScoreTree

IDS = st.lists(st.lists(st.integers(0, 3), max_size=6).map(tuple), max_size=8)


def value(beginning: tuple[int, ...], token: int) -> float:
    """A number that tells which row a score came from."""
    return float(hash((beginning, token)))


@given(IDS)
def test_each_id_is_scored_behind_its_own_beginning_and_no_beginning_is_decoded_twice(
    continuations: list[tuple[int, ...]],
) -> None:
    tree = ScoreTree(continuations)
    tree.note((), lambda token: value((), token))
    resident: tuple[int, ...] = ()
    decoded: list[tuple[int, ...]] = []
    for stretch in tree.stretches():
        assert resident[: stretch.shared] == stretch.path[: stretch.shared], "a cut back is enough"
        resident = stretch.path
        for length in range(stretch.shared + 1, len(stretch.path) + 1):
            beginning = stretch.path[:length]
            decoded.append(beginning)
            tree.note(beginning, lambda token, beginning=beginning: value(beginning, token))
    assert tree.scores() == tuple(
        tuple(value(ids[:at], token) for at, token in enumerate(ids)) for ids in continuations
    )
    assert len(set(decoded)) == len(decoded)
    assert set(decoded) == {ids[:length] for ids in continuations for length in range(1, len(ids))}
