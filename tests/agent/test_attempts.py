"""The order of attempts."""

from __future__ import annotations

from itertools import islice

import pytest

from agent.attempts import FEW_CHANGES, MOST_CHANGES, Shape, direct_attempts, stated_attempts, tool_attempts


@pytest.mark.parametrize("suspects", [0, 1, 2, 5])
def test_the_first_of_each_shape_is_the_likeliest_and_later_ones_are_drawn(suspects: int) -> None:
    attempts = [each for each in islice(direct_attempts(suspects), 40) if each.shape is not Shape.CHANGE]
    assert [(each.shape, each.temperature) for each in attempts[:3]] == [
        (Shape.BODY, 0.0),
        (Shape.ANEW, 0.0),
        (Shape.REASON, 0.0),
    ]
    assert all(each.temperature for each in attempts[3:])


def test_other_suspects_get_their_turn() -> None:
    assert {each.target for each in islice(direct_attempts(3), 40)} == {0, 1, 2}
    assert {each.target for each in islice(direct_attempts(1), 40)} == {0}


def test_a_model_with_tools_goes_on_from_its_first_failure_and_later_starts_afresh_more_often() -> None:
    fed_back = [each.feedback for each in islice(tool_attempts(), 9)]
    assert fed_back == [False, True, True, False, False, True, False, False, True]


def test_between_free_answers_of_a_model_with_tools_each_suspected_place_gets_its_turn() -> None:
    attempts = list(islice(tool_attempts(places=5), 3 + 7 + 7))
    assert not any(each.shape is Shape.PLACE for each in attempts[:3])
    places = [each.line for each in attempts if each.shape is Shape.PLACE]
    assert places == [number % 5 for number in range(8)]
    assert [each.feedback for each in attempts if each.shape is not Shape.PLACE][3:] == [False, False, True] * 2


def test_a_slow_model_with_tools_is_not_sent_from_place_to_place() -> None:
    assert list(islice(tool_attempts(5, lambda: False), 9)) == list(islice(tool_attempts(), 9))


def test_every_line_of_the_likeliest_suspect_is_tried_before_anything_is_drawn() -> None:
    attempts = list(islice(direct_attempts(1, lines=4), 7 + MOST_CHANGES))
    assert [each.line for each in attempts if each.shape is Shape.LINE] == [0, 1, 2, 3]
    assert not any(each.temperature for each in attempts)


def test_more_code_is_read_only_when_what_was_likeliest_did_not_help() -> None:
    attempts = list(islice(direct_attempts(3, lines=2), 40))
    first_wide = next(at for at, each in enumerate(attempts) if each.wide)
    assert not any(each.temperature for each in attempts[:first_wide])
    assert all(each.wide or each.feedback for each in attempts[first_wide:])


def test_small_changes_follow_the_first_answers_unless_the_failure_says_what_is_wrong() -> None:
    shapes = [each.shape for each in islice(direct_attempts(1), 15)]
    assert shapes == [Shape.BODY, Shape.ANEW, *[Shape.CHANGE] * MOST_CHANGES, Shape.REASON]
    attempts = list(islice(direct_attempts(1, changes_first=True), 14))
    assert [each.shape for each in attempts] == [*[Shape.CHANGE] * MOST_CHANGES, Shape.BODY, Shape.ANEW]
    assert [each.line for each in attempts[:MOST_CHANGES]] == list(range(MOST_CHANGES))


def test_each_repair_that_the_failure_names_is_tried_once() -> None:
    attempts = list(stated_attempts(["import os", "import re"]))
    assert [(each.shape, each.line, each.strategy) for each in attempts] == [
        (Shape.STATED, 0, "import os"),
        (Shape.STATED, 1, "import re"),
    ]


def test_a_few_small_changes_come_before_a_long_body_is_written() -> None:
    shapes = [each.shape for each in islice(direct_attempts(1, lines=30, long=True), 2 + MOST_CHANGES)]
    few, others = [Shape.CHANGE] * FEW_CHANGES, [Shape.CHANGE] * (MOST_CHANGES - FEW_CHANGES)
    assert shapes == [*few, Shape.BODY, Shape.ANEW, *others]
    changes = [each.line for each in islice(direct_attempts(1, lines=30, long=True), 40) if each.shape is Shape.CHANGE]
    assert changes == list(range(MOST_CHANGES))


def test_where_tests_hang_most_small_changes_wait_for_the_single_lines() -> None:
    shapes = [each.shape for each in islice(direct_attempts(1, lines=2, hangs=True), 4 + MOST_CHANGES)]
    early, late = [Shape.CHANGE] * FEW_CHANGES, [Shape.CHANGE] * (MOST_CHANGES - FEW_CHANGES)
    assert shapes == [Shape.BODY, Shape.ANEW, *early, Shape.LINE, Shape.LINE, *late]
