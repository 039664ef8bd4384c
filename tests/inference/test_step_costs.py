"""What a decode costs by its rows: the probe within its time, what is between, and how steps correct it."""

from __future__ import annotations

import pytest

from inference.step_costs import WIDTHS, StepCosts
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape
from tests.fakes.timed_backend import GPU, QWEN_TWO_CORES, TimedBackend


def probed(costs: dict[int, float], seconds: float) -> tuple[StepCosts, TimedBackend]:
    backend = TimedBackend((), costs)
    steps = StepCosts()
    steps.probe(backend, seconds, backend.clock)
    return steps, backend


def test_a_fast_machine_is_probed_at_every_width() -> None:
    steps, backend = probed(GPU, 1.5)
    assert steps.measured() == pytest.approx(GPU)
    assert backend.rows[0] == 1, "the first decode warms up"
    assert sorted(backend.rows[1:]) == sorted(2 * WIDTHS)


def test_a_slow_machine_is_probed_no_longer_than_allowed() -> None:
    steps, backend = probed(QWEN_TWO_CORES, 1.5)
    assert backend.seconds <= 1.5
    assert {1, 2, 4} <= set(steps.measured())
    assert steps.known
    very_slow, backend = probed({rows: 30 * ms for rows, ms in QWEN_TWO_CORES.items()}, 1.5)
    assert backend.seconds <= 3 * 30 * 0.043, "the warming up and the plain decodes"
    assert not very_slow.known


def test_the_next_start_probes_what_is_missing_and_nothing_twice() -> None:
    first, _ = probed(QWEN_TWO_CORES, 1.5)
    backend = TimedBackend((), QWEN_TWO_CORES)
    second = StepCosts(first.measured())
    second.probe(backend, 1e9, backend.clock)
    assert set(backend.rows[1:]) == set(WIDTHS) - set(first.measured())
    third = StepCosts(second.measured())
    backend.rows.clear()
    third.probe(backend, 1e9, backend.clock)
    assert backend.rows == []


def test_no_more_rows_are_decoded_than_the_backend_takes_and_the_memory_is_left_empty() -> None:
    backend = LedgerBackend(LedgerShape(n_batch=5, n_ubatch=5))
    steps = StepCosts()
    steps.probe(backend, 1e9)
    assert set(steps.measured()) == {1, 2, 3, 4}
    assert not backend.resident(0)


def test_what_is_between_and_beyond_lies_on_straight_lines() -> None:
    steps = StepCosts({1: 10.0, 4: 16.0, 8: 40.0})
    assert steps.expected(2) == pytest.approx(12)
    assert steps.expected(6) == pytest.approx(28)
    assert steps.expected(16) == pytest.approx(88)


def test_a_pace_that_plain_steps_show_holds_for_all_widths() -> None:
    steps = StepCosts({1: 10.0, 8: 40.0})
    for _ in range(60):
        steps.note(1, 20.0)
    assert steps.expected(1) == pytest.approx(20, rel=0.05)
    assert steps.expected(8) == pytest.approx(80, rel=0.05)
    assert steps.measured() == {1: 10.0, 8: 40.0}, "the pace of the moment is not kept"


def test_a_width_that_was_guessed_is_corrected_when_it_is_used() -> None:
    steps = StepCosts({1: 10.0, 8: 40.0})
    for _ in range(20):
        steps.note(16, 50.0)
        steps.note(1, 10.0)
    assert steps.expected(16) == pytest.approx(50, rel=0.1)
    assert steps.expected(8) == pytest.approx(40, rel=0.1)
    assert steps.expected(1) == pytest.approx(10, rel=0.1)


def test_one_step_that_was_interrupted_does_not_change_the_picture() -> None:
    steps = StepCosts({1: 10.0, 8: 40.0})
    steps.note(1, 5000.0)
    steps.note(8, 5000.0)
    assert steps.expected(1) < 12
    assert steps.expected(8) < 60


def test_nonsense_in_a_file_is_left_out() -> None:
    assert StepCosts({1: -3.0, 2: 0.0, 5: 7.0, 8: 40.0}).measured() == {8: 40.0}
    assert not StepCosts({8: 40.0, 16: 50.0}).known, "without a plain step there is nothing to compare with"
