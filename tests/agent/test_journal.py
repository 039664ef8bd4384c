"""Before-images: undo, rewind and what a crash leaves."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.journal import Journal
from tools.workspace import Workspace

ROOT = Path(__file__).parents[2]


def never(_: str) -> bool:
    return False


class Desk:
    """A folder with a journal, and a hand that writes through it."""

    def __init__(self, root: Path, database: Path | None = None, session: str = "s1") -> None:
        self.root = root
        self.workspace = Workspace(root)
        self.journal = Journal(database, session, self.workspace)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        before = path.read_bytes() if path.exists() else None
        with self.journal.change(path, before, text.encode()):
            self.workspace.write(name, text.encode(), before)


def crash(desk: Desk, intent: str, written: str | None) -> None:
    """The process ends in the middle of a change, after ``written`` reached the disk (or nothing did)."""
    path = desk.root / "a"
    before = path.read_bytes() if path.exists() else None
    change = desk.journal.change(path, before, intent.encode())
    change.__enter__()
    if written is not None:
        path.write_text(written)


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_undo_takes_back_the_latest_run_that_changed_something(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.journal.begin_run("one")
    desk.write("a", "1")
    desk.journal.begin_run("two")
    desk.write("a", "2")
    desk.write("b", "1")
    desk.journal.begin_run("three")
    assert desk.journal.undo_last_run().restored == ("a", "b")
    assert tree(tmp_path) == {"a": b"1"}
    assert desk.journal.undo_last_run().restored == ("a",)
    assert tree(tmp_path) == {}
    assert desk.journal.undo_last_run().sentence() == "There is nothing to undo."


def test_a_restored_file_keeps_its_permission_bits(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "run.sh").write_text("old")
    (tmp_path / "run.sh").chmod(0o750)
    desk.write("run.sh", "new")
    desk.journal.undo_since(0)
    assert (tmp_path / "run.sh").stat().st_mode & 0o777 == 0o750


def test_a_file_deleted_by_someone_else_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "a").write_text("old")
    desk.write("a", "1")
    desk.write("b", "1")
    (tmp_path / "a").unlink()
    report = desk.journal.undo_since(0)
    assert [path for path, _ in report.refused] == ["a"]
    assert tree(tmp_path) == {"b": b"1"}


def test_net_changes_leave_out_what_ended_as_it_began(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.write("a", "1")
    mark = desk.journal.mark()
    for text in ("2", "3", "1"):
        desk.write("a", text)
    desk.write("b", "x")
    (change,) = desk.journal.net_changes(mark)
    assert (change.path, change.before, change.after) == ("b", None, b"x")


def test_sessions_do_not_see_each_others_changes(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    one = Desk(folder, tmp_path / "journal.db", "one")
    two = Desk(folder, tmp_path / "journal.db", "two")
    one.write("a", "1")
    assert two.journal.undo_last_run().restored == ()
    assert one.journal.undo_last_run().restored == ("a",)


def test_random_edits_undos_and_edits_by_others_end_as_the_model_says(tmp_path: Path) -> None:
    for seed in range(12):
        draw = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        desk = Desk(folder)
        marks: list[tuple[int, dict[str, bytes]]] = []
        for step in range(20):
            name = draw.choice("abc")
            match draw.choice(["write", "write", "mark", "undo", "other"]):
                case "write":
                    desk.write(name, f"{seed} {step}")
                case "mark":
                    marks.append((desk.journal.mark(), tree(folder)))
                case "undo" if marks:
                    mark, expected = draw.choice(marks)
                    before = tree(folder)
                    report = desk.journal.undo_since(mark)
                    after = tree(folder)
                    if report.refused:
                        assert after == before
                    else:
                        touched = set(report.restored)
                        assert {key: value for key, value in after.items() if key not in touched} == {
                            key: value for key, value in before.items() if key not in touched
                        }
                        for path in touched:
                            assert after.get(path) == expected.get(path)
                    marks = [each for each in marks if each[0] <= mark]
                case "other":
                    (folder / name).write_text(f"someone else {step}")
                    # What others wrote is no longer ours to restore past: only later marks are compared.
                    marks = []
                case _:
                    pass


def test_an_intent_whose_write_never_happened_is_void_after_a_crash(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "a").write_text("old")
    crash(desk, "new", None)
    assert desk.journal.recover(never) == []
    assert desk.journal.undo_last_run().restored == ()
    assert (tmp_path / "a").read_text() == "old"


def test_an_intent_whose_write_happened_can_be_undone_after_a_crash(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "a").write_text("old")
    crash(desk, "new", "new")
    assert desk.journal.recover(never) == []
    assert desk.journal.undo_last_run().restored == ("a",)
    assert (tmp_path / "a").read_text() == "old"


def test_an_intent_overtaken_by_someone_else_is_told_and_left_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "a").write_text("old")
    crash(desk, "new", None)
    (tmp_path / "a").write_text("mine")
    (sentence,) = desk.journal.recover(never)
    assert "a was being changed" in sentence
    assert (tmp_path / "a").read_text() == "mine"


def test_intents_of_living_sessions_are_left_open(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    crash(desk, "new", "new")
    desk.journal.recover(lambda session: session == "s1")
    assert desk.journal.undo_last_run().restored == ()


_WRITER = """
import sys
from pathlib import Path
from agent.journal import Journal
from tools.workspace import Workspace

root, database = Path(sys.argv[1]), Path(sys.argv[2])
workspace = Workspace(root)
journal = Journal(database, "s1", workspace)
number = 0
while True:
    number += 1
    path = root / f"file-{number % 3}"
    before = path.read_bytes() if path.exists() else None
    content = f"{number} ".encode() * 2000
    with journal.change(path, before, content):
        workspace.write(path.name, content, before)
    print(number, flush=True)
"""


@pytest.mark.slow
def test_a_process_killed_at_any_point_leaves_whole_files_that_undo_to_the_start(tmp_path: Path) -> None:
    for attempt in range(5):
        folder = tmp_path / f"work-{attempt}"
        folder.mkdir()
        start = {f"file-{number}": b"start" for number in range(3)}
        for name, content in start.items():
            (folder / name).write_bytes(content)
        database = tmp_path / f"journal-{attempt}.db"
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(folder), str(database)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(3 + attempt):
            process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        desk = Desk(folder, database)
        assert desk.journal.recover(never) == []
        for path in folder.glob("file-*"):
            words = path.read_text().split()
            assert words == ["start"] or (len(words) == 2000 and len(set(words)) == 1)
        report = desk.journal.undo_since(0)
        assert report.refused == ()
        assert {path.name: path.read_bytes() for path in folder.glob("file-*")} == start


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\0" * 50])
def test_a_damaged_journal_is_kept_aside_and_a_new_one_begun_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    journal = Journal(path, "s1", Workspace(tmp_path))
    (sentence,) = journal.notices
    (kept,) = tmp_path.glob("journal.db.damaged-*")
    assert str(kept) in sentence
    assert kept.read_bytes() == content
    assert journal.undo_last_run().sentence() == "There is nothing to undo."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match=r"journal\.db"):
        Journal(tmp_path / "journal.db", "s1", Workspace(tmp_path))
