"""What a command uses is what its processes use now, and one look at the machine serves who asks at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tools.limits import Limits, Lookout, Use


@pytest.mark.skipif(sys.platform != "linux", reason="what lives below a process is seen in /proc, which only Linux has")
def test_one_look_serves_those_who_ask_of_the_same_time_and_no_later_ones() -> None:
    lookout = Lookout()
    began = time.monotonic()
    before = lookout.use_below(os.getpid(), began)
    assert before.processes >= 1
    assert before.memory > 0
    with subprocess.Popen(["sleep", "60"]) as child:
        assert lookout.use_below(os.getpid(), began) == before
        assert lookout.use_below(os.getpid(), time.monotonic()).processes == before.processes + 1
        assert lookout.use_below(child.pid, began).processes == 1
        child.kill()


def test_a_process_that_is_gone_uses_nothing_but_itself() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert Lookout().use_below(child.pid, time.monotonic()) == Use(1, 0)


def test_a_limit_that_is_exceeded_is_named() -> None:
    limits = Limits(processes=3, memory=2_000_000_000)
    assert limits.exceeded_by(Use(3, 2_000_000_000)) == ""
    assert limits.exceeded_by(Use(4, 0)) == "it had more than 3 processes"
    assert limits.exceeded_by(Use(1, 3_000_000_000)) == "it used more than 2.0 GB of memory"
