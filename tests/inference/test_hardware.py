"""Counting cores from what Linux tells, in trees written for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inference.hardware import physical_cores

USABLE = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_where_nothing_is_known_every_usable_cpu_is_a_core(tmp_path: Path) -> None:
    assert physical_cores(tmp_path) == len(USABLE)


def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    for cpu in USABLE:
        write(tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", "0-127\n")
    assert physical_cores(tmp_path) == 1


ALL = len(USABLE)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("100000 100000", 1), ("50000 100000", 1), ("max 100000", ALL), ("odd", ALL), ("1 0", ALL)],
)
def test_a_control_groups_quota_limits_the_cores_to_at_least_one(tmp_path: Path, quota: str, cores: int) -> None:
    write(tmp_path / "sys/fs/cgroup/cpu.max", quota)
    assert physical_cores(tmp_path) == cores
