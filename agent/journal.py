"""Before-images of the files that tools and commands change: undo, redo, rewind and crash recovery.

It sees only what is reported to it: of other commands it knows that they ran, and says so. It shows nothing to anybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from sqlite3 import Cursor, Row

from agent import restore
from agent.database import Database
from agent.journal_tables import SCHEMA, Plan, keep_image, plan_back, read_image
from agent.restore import UndoReport
from tools.base import FileChange
from tools.protected import is_read_only
from tools.workspace import Workspace


class Journal:
    """The recorder of one session (a ``tools.base.ChangeRecorder``); ``path`` None keeps it in memory.

    Every row has a state: open (intent recorded, outcome unknown), done, undone, void (never happened).
    """

    def __init__(self, path: Path | None, session: str, workspace: Workspace) -> None:
        self._database = Database(path, SCHEMA)
        self._session = session
        self._workspace = workspace
        self._run = self._message = ""

    @property
    def notices(self) -> list[str]:
        """Sentences on what had to be done to open the database."""
        return self._database.notices

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def begin_run(self, run: str) -> None:
        """Changes from now on belong to ``run`` (the id of the user message)."""
        self._run = self._message = run

    def note_message(self, message: str) -> None:
        """A further user message came during the run: there is a point before it to rewind to."""
        self._message = message

    @contextmanager
    def change(self, path: Path, before: bytes | None, after: bytes | None) -> Generator[None]:
        """Record the intent durably, let the caller write, record that it is done."""
        relative = path.relative_to(self._workspace.root).as_posix()
        mode = path.stat().st_mode & 0o7777 if before is not None and path.exists() else None
        made = self._workspace.missing_folder(relative) if before is None else ""
        change = FileChange(relative, before, after, mode, None if after is None else mode, made)
        with self._database.transaction() as cursor:
            self._forget_undone(cursor)
            number = self._add(cursor, change, "open")
        yield
        self._set_state("done", [number])

    def begin_command(self, command: str) -> int:
        """Note durably that a command which may change files begins; the number to give to ``end_command``."""
        with self._database.transaction() as cursor:
            self._forget_undone(cursor)
            return self._insert(cursor, "command", command, "open")

    def end_command(self, number: int, changes: Sequence[FileChange], complete: bool) -> None:
        """Record what a command changed; unless that is ``complete``, also that it did something unknown."""
        ours = [each for each in changes if not is_read_only(Path(each.path).parts)]
        with self._database.transaction() as cursor:
            for change in ours:
                self._add(cursor, change, "done")
            known = complete and len(ours) == len(changes)
            cursor.execute("UPDATE changes SET state = ? WHERE id = ?", ("void" if known else "done", number))

    def mark(self) -> int:
        """A point to come back to."""
        rows = self._database.rows("SELECT max(id) AS last FROM changes WHERE session = ?", self._session)
        return int(rows[0]["last"] or 0)

    def mark_before(self, message: str) -> int | None:
        """The mark just before the first change after a user message; None when there was none until the next one."""
        return self._mark_before("message", message)

    def paths_since(self, messages: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For each message, given in order, the files that were changed since it and stand changed."""
        query = "SELECT message, path FROM changes WHERE session = ? AND state = 'done' AND kind = 'file'"
        changed: dict[str, list[str]] = {}
        for row in self._database.rows(query, self._session):
            changed.setdefault(row["message"], []).append(row["path"])
        since: dict[str, tuple[str, ...]] = {}
        paths: dict[str, None] = {}
        for message in reversed(messages):
            paths = {**dict.fromkeys(changed.get(message, [])), **paths}
            since[message] = tuple(paths)
        return since

    def last_run(self) -> str | None:
        """The latest run whose changes stand."""
        query = "SELECT run FROM changes WHERE session = ? AND state = 'done' ORDER BY id DESC LIMIT 1"
        rows = self._database.rows(query, self._session)
        return str(rows[0]["run"]) if rows else None

    def net_changes(self, since: int = 0) -> tuple[FileChange, ...]:
        """What became of each file since a mark, first before to last after; files back at their start are left out."""
        steps = [step for step in self._back_to(since).steps if step.now != step.then]
        return tuple(FileChange(step.path, self._image_of(step.then), self._image_of(step.now)) for step in steps)

    def preview(self, since: int) -> UndoReport:
        """What ``undo_since`` would come to now."""
        return self._report(self._back_to(since), "undo")

    def undo_since(self, mark: int) -> UndoReport:
        """Restore every file changed since ``mark``, or none when one of them was changed by someone else."""
        return self._carry_out(self._back_to(mark), "undo")

    def undo_last_run(self) -> UndoReport:
        """Restore the files of the latest run whose changes stand."""
        run = self.last_run()
        mark = None if run is None else self._mark_before("run", run)
        return UndoReport() if mark is None else self.undo_since(mark)

    def redo(self) -> UndoReport:
        """Take back the latest undo; nothing is left to redo once something new was changed."""
        query = "SELECT max(id) AS last FROM undos WHERE session = ? AND state = 'done'"
        last = self._database.rows(query, self._session)[0]["last"]
        if last is None:
            return UndoReport(word="redo")
        rows = self._database.rows("SELECT * FROM changes WHERE undo = ? ORDER BY id", last)
        plan = plan_back(rows)
        plan = replace(plan, steps=tuple(step.reversed() for step in plan.steps))
        return self._carry_out(plan, "redo", int(last))

    def recover(self, alive: Callable[[str], bool]) -> list[str]:
        """Settle what a crash left open, unless its session is ``alive``; a sentence for each unclear file.

        Writes are atomic: the file is either as before (the change never happened) or as after (it is done).
        Anything else was written by someone else, and is left alone. An undo that was cut short is finished.
        """
        unclear: list[str] = []
        for row in self._database.rows("SELECT * FROM undos WHERE state != 'done' ORDER BY id"):
            if not alive(row["session"]):
                unclear += self._finish_undo(row)
        for row in self._database.rows("SELECT * FROM changes WHERE state = 'open' ORDER BY id"):
            if not alive(row["session"]):
                unclear += self._settle(row)
        return unclear

    def prune(self, oldest: float) -> int:
        """Forget the changes of sessions without a change since ``oldest`` (epoch seconds); how many rows that were."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "DELETE FROM changes WHERE session != ? AND state != 'open' AND session IN"
                " (SELECT session FROM changes GROUP BY session HAVING max(at) < ?)",
                (self._session, oldest),
            )
            count = cursor.rowcount
            if count:
                cursor.execute("DELETE FROM undos WHERE session NOT IN (SELECT session FROM changes)")
                cursor.execute(
                    "DELETE FROM images WHERE hash NOT IN (SELECT before FROM changes WHERE before IS NOT NULL)"
                    " AND hash NOT IN (SELECT after FROM changes WHERE after IS NOT NULL)"
                )
        return count

    def _mark_before(self, column: str, value: str) -> int | None:
        query = f"SELECT min(id) AS first FROM changes WHERE session = ? AND {column} = ?"  # noqa: S608 - ours
        first = self._database.rows(query, self._session, value)[0]["first"]
        return None if first is None else int(first) - 1

    def _back_to(self, mark: int) -> Plan:
        query = "SELECT * FROM changes WHERE session = ? AND id > ? AND state = 'done' ORDER BY id"
        return plan_back(self._database.rows(query, self._session, mark))

    def _report(self, plan: Plan, word: str) -> UndoReport:
        between = "was changed by someone else between two of our changes"
        pairs = (
            (step.path, between if step.path in plan.foreign else restore.obstacle(self._workspace, step))
            for step in plan.steps
        )
        refused = tuple((path, why) for path, why in pairs if why is not None)
        if refused:
            return UndoReport(refused=refused, word=word)
        return UndoReport(tuple(step.path for step in plan.steps), unrecorded=plan.commands, word=word)

    def _carry_out(self, plan: Plan, word: str, undone: int | None = None) -> UndoReport:
        """Undo, or with the number of an undo take that back; the intent is recorded first."""
        report = self._report(plan, word)
        if report.refused or not plan.rows:
            return report
        number = undone or self._begin_undo(plan)
        if undone is not None:
            self._set_undo(number, "reopened")
        if (failed := restore.take(self._workspace, plan.steps, self._image)) is not None:
            self._close_undo(number, undone is not None)
            return UndoReport(refused=(failed,), word=word)
        self._close_undo(number, undone is None)
        return report

    def _begin_undo(self, plan: Plan) -> int:
        with self._database.transaction() as cursor:
            values = (self._session, str(self._workspace.root), time.time())
            cursor.execute("INSERT INTO undos (session, root, state, at) VALUES (?, ?, 'open', ?)", values)
            number = cursor.lastrowid or 0
            cursor.executemany("UPDATE changes SET undo = ? WHERE id = ?", [(number, each) for each in plan.rows])
        return number

    def _set_undo(self, number: int, state: str) -> None:
        """``reopened`` marks a redo in progress: a crash in it is settled by taking it to its end as well."""
        with self._database.transaction() as cursor:
            cursor.execute("UPDATE undos SET state = ? WHERE id = ?", (state, number))

    def _close_undo(self, number: int, undone: bool) -> None:
        """Whether the changes of an undo are now undone, or stand (again)."""
        with self._database.transaction() as cursor:
            if undone:
                cursor.execute("UPDATE undos SET state = 'done' WHERE id = ?", (number,))
                cursor.execute("UPDATE changes SET state = 'undone' WHERE undo = ?", (number,))
            else:
                cursor.execute("UPDATE changes SET state = 'done', undo = NULL WHERE undo = ?", (number,))
                cursor.execute("DELETE FROM undos WHERE id = ?", (number,))

    def _finish_undo(self, row: Row) -> list[str]:
        """Bring an undo or redo that a crash cut short to its end, except for files that others changed meanwhile."""
        undo = row["state"] == "open"
        plan = plan_back(self._database.rows("SELECT * FROM changes WHERE undo = ? ORDER BY id", row["id"]))
        steps = plan.steps if undo else tuple(step.reversed() for step in plan.steps)
        workspace = Workspace(Path(row["root"]))
        blocked = [step for step in steps if restore.obstacle(workspace, step)]
        for step in steps:
            workspace.remove_leftovers(step.path)
        failed = restore.take(workspace, [step for step in steps if step not in blocked], self._image)
        self._close_undo(row["id"], undo)
        paths = [step.path for step in blocked] + ([failed[0]] if failed else [])
        return [f"{path} could not be restored when an undo was cut short: it was changed meanwhile." for path in paths]

    def _settle(self, row: Row) -> list[str]:
        if row["kind"] == "command":
            self._set_state("done", [row["id"]])
            return []
        workspace = Workspace(Path(row["root"]))
        workspace.remove_leftovers(row["path"])
        found = restore.state_of(workspace, row["path"])
        self._set_state("done" if found == row["after"] else "void", [row["id"]])
        if found in (row["after"], row["before"]):
            return []
        where = workspace.root / row["path"]
        return [f"{where} was being changed when session {row['session']} ended, and is now neither old nor new."]

    def _forget_undone(self, cursor: Cursor) -> None:
        """Something new is changed: what was undone before can no longer be redone."""
        cursor.execute("DELETE FROM undos WHERE session = ? AND state = 'done'", (self._session,))

    def _add(self, cursor: Cursor, change: FileChange, state: str) -> int:
        before, after = keep_image(cursor, change.before), keep_image(cursor, change.after)
        facts = (before, after, change.mode_before, change.mode_after, change.made)
        return self._insert(cursor, "file", change.path, state, facts)

    def _insert(self, cursor: Cursor, kind: str, path: str, state: str, facts: Sequence[object] = ()) -> int:
        root = str(self._workspace.root)
        values = (self._session, self._run, self._message, root, kind, path, state, time.time())
        cursor.execute(
            "INSERT INTO changes (session, run, message, root, kind, path, state, at, before, after, mode_before,"
            " mode_after, made) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, *(facts or (None, None, None, None, ""))),
        )
        return cursor.lastrowid or 0

    def _set_state(self, state: str, ids: Sequence[int]) -> None:
        with self._database.transaction() as cursor:
            cursor.executemany("UPDATE changes SET state = ? WHERE id = ?", [(state, each) for each in ids])

    def _image(self, digest: str) -> bytes:
        return read_image(self._database, digest)

    def _image_of(self, digest: str | None) -> bytes | None:
        return None if digest is None else self._image(digest)
