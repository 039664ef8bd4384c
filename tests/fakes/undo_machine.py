"""Random edits, commands, undos, redos and edits by others, against a model that is a plain dictionary.

Files are named so that one may be another's folder. The same machine runs as a test and, longer, in bench/.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.journal import Journal
from tools.base import FileChange
from tools.workspace import Workspace

Tree = dict[str, bytes]

NAMES = st.sampled_from(["a", "b", "c/d", "c/e", "f/g/h"])
CONTENTS = st.sampled_from([b"", b"1", b"2\n", b"3\r\n", b"\xff\x00", b"4" * 5000])


@dataclass(frozen=True)
class Change:
    """One of our changes, as the model remembers it."""

    run: int
    path: str
    before: bytes | None
    after: bytes | None


class UndoMachine(RuleBasedStateMachine):
    """The model: the tree, our changes that stand, and a stack of undone stretches."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.root = Path(self._folder.name).resolve()
        self.workspace = Workspace(self.root)
        self.journal = Journal(None, "s", self.workspace)
        self.tree: Tree = {}
        self.standing: list[Change] = []
        self.undone: list[list[Change]] = []
        self.run = 0
        self.begin_run()

    def teardown(self) -> None:
        self.journal.close()
        self._folder.cleanup()

    @rule()
    def begin_run(self) -> None:
        self.run += 1
        self.journal.begin_run(f"run {self.run}")

    @rule(path=NAMES, content=CONTENTS)
    def edit(self, path: str, content: bytes) -> None:
        before = self.tree.get(path)
        with self.journal.change(self.root / path, before, content):
            self.workspace.write(path, content, before)
        self._changed(path, content)

    @rule(changes=st.dictionaries(NAMES, st.one_of(st.none(), CONTENTS), max_size=3))
    def run_command(self, changes: dict[str, bytes | None]) -> None:
        number = self.journal.begin_command("a command")
        reported: list[FileChange] = []
        for path, content in changes.items():
            before = self.tree.get(path)
            if before == content:
                continue
            made = self.workspace.missing_folder(path)
            self._put(path, content)
            reported.append(FileChange(path, before, content, made=made))
            self._changed(path, content)
        self.journal.end_command(number, reported, complete=True)
        self.undone.clear()

    @rule(path=NAMES, content=st.one_of(st.none(), CONTENTS))
    def someone_else_edits(self, path: str, content: bytes | None) -> None:
        self._put(path, content)
        self._set(path, content)

    @rule()
    def undo(self) -> None:
        report = self.journal.undo_last_run()
        if not self.standing:
            assert report.sentence() == "There is nothing to undo."
            return
        latest = self.standing[-1].run
        stretch = [change for change in self.standing if change.run == latest]
        assert bool(report.refused) is not self._may(stretch, back=True), report
        if not report.refused:
            self._take(stretch, back=True)
            self.standing = self.standing[: -len(stretch)]
            self.undone.append(stretch)

    @rule()
    def redo(self) -> None:
        report = self.journal.redo()
        if not self.undone:
            assert report.sentence() == "There is nothing to redo."
            return
        stretch = self.undone[-1]
        assert bool(report.refused) is not self._may(stretch, back=False), report
        if not report.refused:
            self._take(stretch, back=False)
            self.standing += self.undone.pop()

    @rule(data=st.data())
    def rewind(self, data: st.DataObject) -> None:
        """To the beginning of a run, over all that followed."""
        if not self.standing:
            return
        run = data.draw(st.sampled_from(sorted({change.run for change in self.standing})))
        mark = self.journal.mark_before(f"run {run}")
        assert mark is not None
        stretch = [change for change in self.standing if change.run >= run]
        report = self.journal.undo_since(mark)
        assert bool(report.refused) is not self._may(stretch, back=True), report
        if not report.refused:
            self._take(stretch, back=True)
            self.standing = self.standing[: -len(stretch)]
            self.undone.append(stretch)

    @rule()
    def start_again(self) -> None:
        """What a crash leaves open is settled; here nothing is."""
        assert self.journal.recover(lambda _: False) == []

    @invariant()
    def the_files_are_those_of_the_model(self) -> None:
        found = {
            path.relative_to(self.root).as_posix(): path.read_bytes() for path in self.root.rglob("*") if path.is_file()
        }
        assert found == self.tree

    def _changed(self, path: str, content: bytes | None) -> None:
        self.standing.append(Change(self.run, path, self.tree.get(path), content))
        self._set(path, content)
        self.undone.clear()

    def _may(self, stretch: list[Change], *, back: bool) -> bool:
        """Every file is where our changes left it (or already where it would go), and they follow on each other."""
        for path in {change.path for change in stretch}:
            own = [change for change in stretch if change.path == path]
            if any(later.before != earlier.after for earlier, later in pairwise(own)):
                return False
            if self.tree.get(path) not in (own[-1].after, own[0].before):
                return False
        return True

    def _take(self, stretch: list[Change], *, back: bool) -> None:
        for path in {change.path for change in stretch}:
            own = [change for change in stretch if change.path == path]
            self._set(path, own[0].before if back else own[-1].after)

    def _set(self, path: str, content: bytes | None) -> None:
        if content is None:
            self.tree.pop(path, None)
        else:
            self.tree[path] = content

    def _put(self, path: str, content: bytes | None) -> None:
        """Write a file as a program that is not ours would."""
        where = self.root / path
        if content is None:
            where.unlink(missing_ok=True)
        else:
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_bytes(content)
