"""Sessions that edit, run commands and talk, killed at random points; the full thousand is bench/durability.py."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fakes.kills import kill_once


@pytest.mark.slow
def test_a_session_killed_at_any_point_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    draw = random.Random(3)
    begun = 0
    for number in range(25):
        folder = tmp_path / str(number)
        folder.mkdir()
        if (killed := kill_once(folder, draw, longest=0.9)) is None:
            continue
        begun += 1
        found = (killed.half_written, killed.lost, killed.twice, killed.left_behind, killed.not_undone)
        assert found == (0, 0, 0, 0, 0), killed
    assert begun > 10
