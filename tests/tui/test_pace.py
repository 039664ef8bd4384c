"""Pictures of a stream come as often as their cost allows, and never too seldom."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tui.pace import LONGEST, SHARE, Pace


@pytest.mark.parametrize(("cost", "expected"), [(0.001, 0.1), (0.006, 0.3), (0.012, 0.6), (0.5, LONGEST)])
def test_a_picture_waits_until_it_is_paid_for(cost: float, expected: float) -> None:
    """The window's clock ticks every 0.1 s; each picture costs the same."""
    now, spent, drawn = 0.0, 0.0, list[float]()
    pace = Pace(lambda: now, lambda: spent)
    for tick in range(200):
        now = tick / 10
        if pace.wait() == 0:
            pace.drawn()
            drawn.append(now)
            spent += cost
    gaps = [later - before for before, later in pairwise(drawn)]
    assert gaps == pytest.approx([expected] * len(gaps), abs=0.101)
    assert spent / now <= SHARE * 1.05 or expected == LONGEST
