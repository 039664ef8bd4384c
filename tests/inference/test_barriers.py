"""When llama.cpp's threads spin and when they sleep: the decision on loads made up here, the means on GNU OpenMP."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.backend import llama_cpp
from inference.backend.barriers import RUNTIME, Barriers, ExtraTeam, Load, is_alone, open_barriers, read_load

assert llama_cpp, "the runtime is loaded with it"


class SpyThrottle:
    def __init__(self) -> None:
        self.changes: list[str] = []

    def on(self) -> None:
        self.changes.append("sleep")

    def off(self) -> None:
        self.changes.append("spin")


class Machine:
    """Two processors, and two threads of ours that keep both busy whenever they get them."""

    def __init__(self, n_cpus: int = 2) -> None:
        self.throttle = SpyThrottle()
        self._now = self._everybody = self._own = 0.0
        self.alone = False
        self._barriers = Barriers(
            self.throttle, n_cpus, lambda: Load(self._everybody, self._own), alone=lambda: self.alone
        )

    def run(self, seconds: float, foreign: float) -> None:
        """Decodes of 20 ms while other programs keep ``foreign`` processors busy."""
        for _ in range(round(seconds / 0.02)):
            self.decode(0.02, foreign)

    def decode(self, seconds: float, foreign: float) -> None:
        self._barriers.enter(self._now)
        self.wait(seconds, foreign, own=1.8)
        self._barriers.leave(2, self._now)

    def wait(self, seconds: float, foreign: float, own: float = 0.0) -> None:
        self._now += seconds
        self._own += seconds * own
        self._everybody += seconds * (own + foreign)


def test_on_an_idle_machine_threads_spin() -> None:
    machine = Machine()
    machine.run(10, foreign=0.1)
    assert machine.throttle.changes == []


def test_beside_another_program_they_sleep_until_it_has_been_quiet_for_a_while() -> None:
    machine = Machine()
    machine.run(1, foreign=0.9)
    assert machine.throttle.changes == ["sleep"]
    machine.run(0.3, foreign=0.0)
    machine.run(0.3, foreign=0.9)
    machine.run(0.3, foreign=0.0)
    assert machine.throttle.changes == ["sleep"]
    machine.run(2, foreign=0.0)
    assert machine.throttle.changes == ["sleep", "spin"]


def test_when_others_have_gone_the_next_answer_spins_however_short_it_is() -> None:
    machine = Machine()
    machine.run(1, foreign=0.9)
    for alone in (False, False, True):
        machine.alone = alone
        assert machine.throttle.changes == ["sleep"]
        machine.wait(20, foreign=0.0)
        machine.run(0.1, foreign=0.0)
    assert machine.throttle.changes == ["sleep", "spin"]
    machine.run(1, foreign=0.9)
    assert machine.throttle.changes == ["sleep", "spin", "sleep"]


def test_alone_is_who_runs_alone(tmp_path: Path) -> None:
    loadavg = tmp_path / "loadavg"
    for running, alone in (("1/181", True), ("2/181", False), ("11/181", False)):
        loadavg.write_text(f"5.13 3.89 3.97 {running} 1876\n")
        assert is_alone(loadavg) == alone
    loadavg.write_text("odd")
    assert not is_alone(loadavg)
    assert not is_alone(tmp_path / "missing")


def test_what_others_did_between_two_answers_does_not_count() -> None:
    machine = Machine()
    for _ in range(5):
        machine.wait(20, foreign=1.9)
        machine.run(0.5, foreign=0.0)
    assert machine.throttle.changes == []


def test_one_long_decode_is_judged_by_itself() -> None:
    machine = Machine()
    machine.wait(20, foreign=0.0)
    machine.decode(5, foreign=0.5)
    assert machine.throttle.changes == ["sleep"]


def test_a_load_between_calm_and_crowded_changes_nothing() -> None:
    machine = Machine()
    machine.run(5, foreign=0.25)
    assert machine.throttle.changes == []
    machine.run(1, foreign=0.9)
    machine.run(5, foreign=0.25)
    assert machine.throttle.changes == ["sleep"]


def test_other_programs_may_have_the_processors_that_are_left_over() -> None:
    machine = Machine(n_cpus=4)
    machine.run(5, foreign=1.9)
    assert machine.throttle.changes == []
    machine.run(1, foreign=2.5)
    assert machine.throttle.changes == ["sleep"]


def test_where_the_system_stops_telling_nothing_changes() -> None:
    throttle = SpyThrottle()
    barriers = Barriers(throttle, 2, lambda: None)
    for step in range(20):
        barriers.enter(step)
        barriers.leave(2, step + 0.5)
    assert throttle.changes == []


def test_the_load_is_that_of_the_processors_we_may_use(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 9 9 9 9 9 9 9 9 0 0\ncpu0 100 10 20 5000 7 1 2 3 0 0\ncpu1 999 0 0 0 0 0 0 0 0 0\nintr 1 2\n")
    load = read_load(frozenset({0}), stat)
    assert load is not None
    assert load.everybody == pytest.approx((100 + 10 + 20 + 1 + 2 + 3) / os.sysconf("SC_CLK_TCK"))
    assert load.own > 0
    assert read_load(frozenset({0}), tmp_path / "missing") is None
    stat.write_text("cpu0 a b\n")
    assert read_load(frozenset({0}), stat) is None


needs_gomp = pytest.mark.skipif(open_barriers() is None, reason="llama.cpp's threads are not GNU OpenMP's here")


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes true; threads take a moment to start and to end."""
    for _ in range(1000):
        if holds():
            return True
        time.sleep(0.01)
    return False


@needs_gomp
def test_the_extra_team_has_more_threads_than_there_are_processors_and_leaves_none_behind() -> None:
    runtime = ctypes.CDLL(RUNTIME, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    before = threads()
    team = ExtraTeam(runtime, cpus=3)
    for _ in range(5):
        team.on()
        team.on()
        assert eventually(lambda: threads() == before + 4)
        team.off()
        team.off()
        assert eventually(lambda: threads() == before)
