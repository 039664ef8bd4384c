"""What is accepted of a draft, and how long one may be."""

from __future__ import annotations

from collections.abc import Callable

from inference.speculative import Verdict, draft_limit, verify


def target(*ids: int) -> Callable[[int], int]:
    return lambda row: ids[row]


def never(_token: int) -> bool:
    return False


def test_a_right_draft_is_kept_and_earns_one_token_more() -> None:
    assert verify([4, 5], target(4, 5, 6), never) == Verdict((4, 5, 6), accepted=2)


def test_from_the_first_wrong_token_on_the_target_decides() -> None:
    assert verify([4, 9, 6], target(4, 5, 6, 7), never) == Verdict((4, 5), accepted=1)


def test_without_a_draft_one_token_comes() -> None:
    assert verify([], target(3), never) == Verdict((3,), accepted=0)


def test_nothing_is_drawn_behind_the_token_that_ends_the_output() -> None:
    drawn: list[int] = []

    def choose(row: int) -> int:
        drawn.append(row)
        return (4, 5, 6)[row]

    assert verify([4, 5], choose, lambda token: token == 4) == Verdict((4,), accepted=1)
    assert drawn == [0]


def test_a_draft_leaves_room_for_the_last_token_and_the_one_behind_it() -> None:
    assert draft_limit(batch_room=4, context_room=100, output_room=100) == 3
    assert draft_limit(batch_room=512, context_room=2, output_room=100) == 1
    assert draft_limit(batch_room=512, context_room=100, output_room=1) == 0
    assert draft_limit(batch_room=1, context_room=100, output_room=100) == 0
