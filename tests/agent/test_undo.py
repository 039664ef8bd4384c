"""Undo, redo and rewind of files are exact, or refused with the reason."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

import pytest
from hypothesis import settings

from agent.journal import Journal
from tests.fakes.undo_machine import UndoMachine
from tools.base import FileChange
from tools.workspace import Workspace

UndoMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestRandomEditsUndosAndRedos = UndoMachine.TestCase


class Desk:
    """A folder with a journal, and hands that write through it and past it."""

    def __init__(self, root: Path, database: Path | None = None) -> None:
        self.root = root
        self.workspace = Workspace(root)
        self.journal = Journal(database, "s1", self.workspace)
        self.journal.begin_run("one")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        before = path.read_bytes() if path.exists() else None
        with self.journal.change(path, before, text.encode()):
            self.workspace.write(name, text.encode(), before)

    def command(self, text: str, *changes: FileChange, complete: bool = True) -> None:
        self.journal.end_command(self.journal.begin_command(text), changes, complete)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = tmp_path / "work"
    folder.mkdir()
    return Desk(folder, tmp_path / "journal.db")


def test_what_a_command_reported_is_undone_with_its_mode_and_redone(desk: Desk) -> None:
    script = desk.root / "run.sh"
    script.write_text("old")
    script.chmod(0o644)
    script.write_text("new")
    script.chmod(0o755)
    desk.command("chmod +x run.sh; ...", FileChange("run.sh", b"old", b"new", 0o644, 0o755))
    assert desk.journal.undo_last_run().restored == ("run.sh",)
    assert (script.read_text(), script.stat().st_mode & 0o777) == ("old", 0o644)
    assert desk.journal.redo().restored == ("run.sh",)
    assert (script.read_text(), script.stat().st_mode & 0o777) == ("new", 0o755)


def test_a_file_that_a_command_deleted_comes_back_with_its_mode(desk: Desk) -> None:
    desk.command("rm run.sh", FileChange("run.sh", b"old", None, 0o750))
    assert desk.journal.undo_last_run().restored == ("run.sh",)
    assert (desk.root / "run.sh").stat().st_mode & 0o777 == 0o750


def test_a_file_that_became_a_folder_becomes_a_file_again(desk: Desk) -> None:
    (desk.root / "a").mkdir()
    (desk.root / "a/b").write_text("x")
    desk.command("rm a; mkdir a; echo x > a/b", FileChange("a", b"1", None), FileChange("a/b", None, b"x", made="a"))
    assert set(desk.journal.undo_last_run().restored) == {"a", "a/b"}
    assert (desk.root / "a").read_bytes() == b"1"
    assert set(desk.journal.redo().restored) == {"a", "a/b"}
    assert (desk.root / "a/b").read_bytes() == b"x"


def test_a_command_whose_effects_nobody_saw_is_named(desk: Desk) -> None:
    desk.write("a", "1")
    desk.command("make\n  install", complete=False)
    report = desk.journal.undo_last_run()
    assert report.restored == ("a",)
    assert "`make install`" in report.sentence()


def test_what_git_keeps_is_not_taken_back_and_said_so(desk: Desk) -> None:
    desk.command("git commit -m x", FileChange(".git/index", b"1", b"2"))
    report = desk.journal.undo_last_run()
    assert report.restored == ()
    assert report.unrecorded == ("git commit -m x",)


def test_undo_stops_at_a_run_that_only_ran_commands_before_it_goes_further_back(desk: Desk) -> None:
    desk.write("a", "1")
    desk.journal.begin_run("two")
    desk.command("make", complete=False)
    assert desk.journal.undo_last_run().unrecorded == ("make",)
    assert (desk.root / "a").exists()
    assert desk.journal.undo_last_run().restored == ("a",)


def test_the_folders_made_for_a_file_go_with_it_unless_something_else_is_in_them(desk: Desk) -> None:
    desk.write("new/deep/a", "1")
    (desk.root / "new/mine").write_text("x")
    desk.journal.undo_last_run()
    assert sorted(path.name for path in desk.root.rglob("*")) == ["mine", "new"]


def test_nothing_is_redone_after_something_new_was_changed(desk: Desk) -> None:
    desk.write("a", "1")
    desk.journal.undo_last_run()
    desk.write("b", "1")
    assert desk.journal.redo().sentence() == "There is nothing to redo."


def test_a_change_by_someone_else_between_two_of_ours_is_not_lost(desk: Desk) -> None:
    desk.write("a", "1")
    (desk.root / "a").write_text("theirs")
    desk.write("a", "2")
    assert "between two of our changes" in desk.journal.undo_last_run().sentence()
    assert (desk.root / "a").read_text() == "2"


def test_a_change_between_two_of_ours_by_our_own_command_is_undone_with_them(desk: Desk) -> None:
    desk.write("a", "1")
    (desk.root / "a").write_text("formatted")
    desk.command("format a", complete=False)
    desk.write("a", "2")
    assert desk.journal.undo_last_run().restored == ("a",)


def test_a_file_replaced_by_a_link_is_refused(desk: Desk, tmp_path: Path) -> None:
    desk.write("a", "1")
    (tmp_path / "outside").write_text("1")
    (desk.root / "a").unlink()
    (desk.root / "a").symlink_to(tmp_path / "outside")
    assert "no regular file any more" in desk.journal.undo_last_run().sentence()
    assert (tmp_path / "outside").read_text() == "1"


def test_an_undo_that_cannot_be_finished_leaves_everything_as_it_was(desk: Desk) -> None:
    for name in ("a", "sub/b"):
        desk.write(name, "1")
    desk.journal.begin_run("two")
    for name in ("a", "sub/b"):
        desk.write(name, "2")
    desk.command("rm -r sub", FileChange("sub/b", b"2", None))
    (desk.root / "sub/b").unlink()
    (desk.root / "sub").rmdir()
    (desk.root / "sub").write_text("someone else's file, where our folder was")
    report = desk.journal.undo_last_run()
    assert [path for path, _ in report.refused] == ["sub/b"]
    assert (desk.root / "a").read_text() == "2"


def test_a_damaged_image_is_never_restored(desk: Desk) -> None:
    (desk.root / "a").write_text("old")
    desk.write("a", "new")
    desk.journal.close()
    _spoil_images(desk)
    again = Desk(desk.root, desk.root.parent / "journal.db")
    assert "damaged" in again.journal.undo_last_run().sentence()
    assert (desk.root / "a").read_text() == "new"


def _spoil_images(desk: Desk) -> None:
    connection = sqlite3.connect(desk.root.parent / "journal.db")
    connection.execute("UPDATE images SET data = ?", (zlib.compress(b"something else"),))
    connection.commit()
    connection.close()
