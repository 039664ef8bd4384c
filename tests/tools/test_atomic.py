"""Atomic writes: old or new, never half, and never over somebody else's change."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.hands import names_in
from tools.atomic import Changed, leftovers, write_entry
from tools.beneath import open_folder

WRITER = """
import sys
from pathlib import Path
from tools.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
contents = [letter * 300_000 for letter in (b"a", b"b")]
print("ready", flush=True)
for turn in range(1_000_000):
    workspace.write("file.txt", contents[(turn + 1) % 2], contents[turn % 2])
"""


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    whole = {letter * 300_000 for letter in (b"a", b"b")}
    dice = random.Random(0)
    for _ in range(30):
        path.write_bytes(b"a" * 300_000)
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(dice.uniform(0.0, 0.05))
            writer.kill()
        assert path.read_bytes() in whole
        for leftover in leftovers(tmp_path):
            leftover.unlink()
    assert names_in(tmp_path) == ["file.txt"]


def test_a_change_by_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("theirs")
    with open_folder(tmp_path, ()) as folder:
        with pytest.raises(Changed):
            write_entry(folder, "a.txt", b"mine", b"old")
        with pytest.raises(Changed):
            write_entry(folder, "a.txt", b"mine", None)
        with pytest.raises(Changed):
            write_entry(folder, "missing.txt", b"mine", b"old")
    assert (tmp_path / "a.txt").read_text() == "theirs"
    assert names_in(tmp_path) == ["a.txt"]


def test_extended_attributes_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    with open_folder(tmp_path, ()) as folder:
        write_entry(folder, "a.txt", b"two", b"one")
    assert os.getxattr(path, "user.note") == b"kept"
    assert path.read_text() == "two"
