"""Landlock's rulesets are made once and kept, whatever order commands come in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tools.sandbox.landlock import NEEDED_VERSION, Rulesets, landlock_version
from tools.sandbox.policy import Policy


def _open() -> int:
    """How many rulesets this process has open."""
    names = [Path(entry.path) for entry in os.scandir("/proc/self/fd") if entry.is_symlink()]
    return sum("landlock-ruleset" in str(path.readlink()) for path in names if os.path.lexists(path))


@pytest.mark.skipif(landlock_version() < NEEDED_VERSION, reason="no Landlock here")
def test_commands_that_read_and_commands_that_write_keep_their_rulesets_by_turns(tmp_path: Path) -> None:
    writing = Policy(tmp_path, tmp_path, tmp_path, (tmp_path,))
    reading = replace(writing, writable=())
    rulesets = Rulesets()
    before = _open()
    for policy in (writing, reading, writing, reading):
        os.close(rulesets.get(policy))
    assert _open() - before == 2
    rulesets.close()
    assert _open() == before
