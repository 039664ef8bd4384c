"""A quick look finds the same secrets and git folders as a whole survey, whatever happened in between."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tools.sandbox.survey import Places, survey

LATER_NS = 3_600_000_000_000
TICK_S = 0.03  # file systems note times in steps of a few milliseconds


def later() -> int:
    """As if everything had been there for an hour, so that what is known is believed."""
    return time.time_ns() + LATER_NS


def add_a_secret(root: Path) -> None:
    (root / "a/b/.env").write_text("KEY=1")


def remove_a_secret(root: Path) -> None:
    (root / "a/.env").unlink()


def move_a_folder(root: Path) -> None:
    (root / "a").rename(root / "c")


def put_a_link_in_its_place(root: Path) -> None:
    shutil.rmtree(root / "a/b")
    (root / "a/b").symlink_to(root)


def exchange_a_folder(root: Path) -> None:
    (root / "a/b").rename(root / "old")
    (root / "a/b").mkdir()
    (root / "a/b/id_ed25519").write_text("key")


def make_a_bare_repository(root: Path) -> None:
    for name in ("objects", "refs"):
        (root / "a/b" / name).mkdir()
    (root / "a/b/HEAD").write_text("ref: refs/heads/main")


def make_an_environment(root: Path) -> None:
    (root / "a/pyvenv.cfg").touch()


def make_a_repository_and_hide_the_time(root: Path) -> None:
    facts = (root / "a/b").stat()
    (root / "a/b/.git").mkdir()
    os.utime(root / "a/b", ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        add_a_secret,
        remove_a_secret,
        move_a_folder,
        put_a_link_in_its_place,
        exchange_a_folder,
        make_a_bare_repository,
        make_an_environment,
        make_a_repository_and_hide_the_time,
    ],
)
def test_it_finds_what_a_survey_finds_before_and_after(tmp_path: Path, change: object) -> None:
    assert callable(change)
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/.env").write_text("KEY=0")
    (tmp_path / "a/b/id_rsa").write_text("key")
    time.sleep(TICK_S)
    places = Places(tmp_path, later)
    seen: list[object] = []
    for _ in range(2):
        places.look()
        quick, whole = places.look(), survey(tmp_path)
        assert (sorted(quick.secrets), sorted(quick.git)) == (sorted(whole.secrets), sorted(whole.git))
        seen.append((whole.secrets, whole.git))
        if len(seen) == 1:
            change(tmp_path)
            time.sleep(TICK_S)
    assert seen[0] != seen[1]


def test_what_has_just_changed_is_not_believed_to_stay(tmp_path: Path) -> None:
    places = Places(tmp_path)
    for number in range(50):  # many of them within one tick
        (tmp_path / f"{number}.env").touch()
        assert len(places.look().secrets) == number + 1
