"""What is done about protected places around each command that may write: placeholders before, a look afterwards.

Commands that overlap (background jobs) share one beginning: the last of them to end sees the end.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.beneath import open_folder
from tools.sandbox.foreign_git import Fault, faults_of, folder_identity, identity
from tools.sandbox.integrity import Guard, set_aside
from tools.sandbox.planning import Plan
from tools.sandbox.policy import Policy, inside_any
from tools.sandbox.private import KEPT, PENDING, PrivateFolder
from tools.sandbox.survey import Survey, survey

# What stands in for a protected path that does not exist, so that it can be mounted read-only: it changes nothing.
# An empty folder; an empty file; for `commondir`, "my settings are here", which is so anyhow.
_PLACEHOLDERS: dict[str, bytes | None] = {".agent": None, "hooks": None, "config.worktree": b"", "commondir": b".\n"}

_GitFacts = tuple[tuple[object, ...], frozenset[Fault]]


class Aftermath:
    """Of one session. ``begin`` and ``end`` come in pairs, on any thread."""

    def __init__(self, workspace: Path, private: PrivateFolder) -> None:
        self._workspace = workspace
        self._private = private
        self._lock = threading.Lock()
        self._active = 0
        self._mounted = False
        self._guards: list[Guard] = []
        self._made: list[Path] = []
        self._git: dict[Path, _GitFacts] = {}
        self._protected: dict[Path, object] = {}  # and the identity of the folder that each lies in
        self._complete = True
        self._began = 0.0

    def begin(self, plan: Plan, *, mounted: bool) -> Policy:
        """Note how things are; the policy with what had to be put in place. ``mounted``: mounts protect what exists."""
        with self._lock:
            if self._active == 0:
                self._note(plan, mounted=mounted)
            self._active += 1
            made = [path for path in self._made if inside_any(path, plan.policy.writable)]
            return replace(plan.policy, read_only=tuple(dict.fromkeys((*plan.policy.read_only, *made))))

    def end(self) -> tuple[Survey, tuple[str, ...]]:
        """Put right what a command must not have changed; the workspace then, and a sentence for each."""
        with self._lock:
            self._active -= 1
            changed: list[str] = []
            if self._active == 0:
                self._unplace_all()
            if self._active == 0 or not self._mounted:
                for guard in self._guards:
                    changed += guard.restore(self._private.discarded, self._was_out_of_reach)
            notices = [f"{path} was put back as it was: commands must not change it" for path in changed]
            after = survey(self._workspace)
            removed = self._look_at_git(after)
            if removed:
                after = survey(self._workspace)
            notices += removed
            if self._active == 0:
                (self._private.path / PENDING).unlink(missing_ok=True)
            return after, tuple(notices)

    @staticmethod
    def put_right(pending: Path) -> None:
        """Do what a killed session left undone."""
        try:
            made, guards = marshal.loads(pending.read_bytes())  # noqa: S302 - our own file, in a folder of ours
            for path in made:
                _unplace(Path(path))
            for dumped in guards:
                Guard.load(*dumped).restore(pending.parent / KEPT)  # somebody may have worked there since
        except (OSError, ValueError, EOFError, TypeError):
            return  # it was being written: nothing had begun

    def _note(self, plan: Plan, *, mounted: bool) -> None:
        self._mounted = mounted
        self._began, self._complete = time.time(), plan.complete
        self._git = {entry: self._facts_of(entry) for entry in plan.git}
        # What lies in a folder of its own can be moved away with it in spite of its mount.
        unmovable = (self._workspace, self._workspace / ".git") if mounted else ()
        guarded = (*plan.placeholders, *(path for path in plan.policy.read_only if path.parent not in unmovable))
        outside = [each for each in plan.policy.writable if not each.is_relative_to(self._workspace)]
        self._guards = [Guard.of(root, guarded) for root in (self._workspace, *outside)]
        self._made = [path for path in plan.placeholders if mounted and _place(path)]
        protected = (*plan.policy.read_only, *self._made) if mounted else ()
        self._protected = {path: folder_identity(path.parent) for path in protected}
        try:
            self._save()
        except OSError:
            self._unplace_all()
            raise

    def _unplace_all(self) -> None:
        for path in self._made:
            _unplace(path)
        self._made = []

    def _save(self) -> None:
        pending: Any = ([str(path) for path in self._made], [guard.dump() for guard in self._guards])
        (self._private.path / PENDING).write_bytes(marshal.dumps(pending))

    def _facts_of(self, entry: Path) -> _GitFacts:
        """A git folder's identity and faults; its settings are read again only when they have changed."""
        now, known = identity(entry), self._git.get(entry)
        return known if known is not None and known[0] == now else (now, faults_of(entry))

    def _look_at_git(self, after: Survey) -> list[str]:
        """What of git folders would start programs now and did not before is moved out of the workspace.

        Whole repositories stay, and what a command could not write at all: a person may have changed it meanwhile.
        """
        found: list[str] = []
        for entry in after.git:
            now, before = identity(entry), self._git.get(entry)
            if before is not None and before[0] == now:
                continue
            known = before[1] if before is not None else frozenset[Fault]()
            for fault in sorted(faults_of(entry) - known, key=str):
                if self._was_out_of_reach(fault.path) or (
                    before is None and not self._complete and self._is_old(fault)
                ):
                    continue
                path = fault.path if fault.path.is_relative_to(self._workspace) else entry
                with contextlib.suppress(OSError):
                    self._set_aside(path)
                name, kept = path.relative_to(self._workspace).as_posix(), self._private.kept
                found.append(
                    f"{name} {fault.says}, which git would run outside of the sandbox; it was removed (to {kept})"
                )
        return found

    def _was_out_of_reach(self, path: Path) -> bool:
        """Whether a mount was over it: then its folder could not be removed either, only moved."""
        known = self._protected.get(path)
        return known is not None and known == folder_identity(path.parent)

    def _is_old(self, fault: Fault) -> bool:
        """Whether it was there before: the time of its last change cannot be forged."""
        try:
            return fault.path.lstat().st_ctime < self._began
        except OSError:
            return True

    def _set_aside(self, path: Path) -> None:
        *folders, name = path.relative_to(self._workspace).parts
        with open_folder(self._workspace, folders) as folder:
            set_aside(folder, name, self._private.kept)


def _place(path: Path) -> bool:
    """Make the placeholder for a path; whether it was made."""
    if path.name not in _PLACEHOLDERS:
        return False
    content = _PLACEHOLDERS[path.name]
    try:
        if content is None:
            path.mkdir(mode=0o755)
        else:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as file:
                file.write(content)
    except OSError:
        return False
    return True


def _unplace(path: Path) -> None:
    """Remove a placeholder, unless it has become something else."""
    content = _PLACEHOLDERS.get(path.name)
    with contextlib.suppress(OSError):
        if content is None:
            path.rmdir()
        elif not path.is_symlink() and path.read_bytes() == content:
            path.unlink()
