"""What a command did to the files of the workspace: before-images of small files, and the differences afterwards.

Nothing is restored here; the changes go to the session's journal. Files that are too large are only named.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tools.beneath import open_folder, read_entry
from tools.changes import FileChange
from tools.sandbox.survey import Stamp, Survey

MAX_FILE_BYTES = 1_000_000
MAX_ALL_BYTES = 64_000_000  # of images kept in memory
MAX_CHANGES = 1_000  # more were made by a generator, not by hand


@dataclass(frozen=True, slots=True)
class Captured:
    """Changes that can be restored, and the paths of those that cannot; ``watched``: and there are no others."""

    changes: tuple[FileChange, ...] = ()
    lost: tuple[str, ...] = ()
    watched: bool = False


class Images:
    """The content of the workspace's small files, read again only when their stamp changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept: dict[str, tuple[Stamp, bytes]] = {}

    def refresh(self, survey: Survey) -> None:
        """Have the content of all small files as the survey found them, the smallest first if there is too much."""
        for path in [path for path in self._kept if path not in survey.files]:
            del self._kept[path]
        room = MAX_ALL_BYTES
        files = survey.files.items()
        if sum(stamp.size for _, stamp in files) > room:
            files = sorted(files, key=lambda item: item[1].size)
        for path, stamp in files:
            room -= stamp.size
            if stamp.size > MAX_FILE_BYTES or room < 0:
                self._kept.pop(path, None)
                continue
            known = self._kept.get(path)
            if known is None or known[0] != stamp:
                content = self._read(path)
                if content is not None:
                    self._kept[path] = (stamp, content)

    def differences(self, before: Survey, after: Survey) -> Captured:
        """What happened between two surveys; ``refresh`` was called with the first."""
        touched = [path for path, stamp in after.files.items() if before.files.get(path) != stamp]
        touched += [path for path in before.files if path not in after.files]
        lost = list(_different(before.others, after.others))
        if not after.complete or len(touched) > MAX_CHANGES:
            return Captured(lost=tuple(sorted({*touched, *lost})))
        changes: list[FileChange] = []
        for path in sorted(touched):
            change = self._change(path, before.files.get(path), after.files.get(path))
            if change is None:
                lost.append(path)
            elif (change.before, change.mode_before) != (change.after, change.mode_after):
                # Folders that came with a file go with it; and when a deletion is done again, those that went.
                without = before if change.before is None else after
                made = _topmost_missing(path, without.folders) if None in (change.before, change.after) else ""
                changes.append(replace(change, made=made))
        return Captured(tuple(changes), tuple(sorted(lost)), watched=before.complete)

    def _change(self, path: str, before: Stamp | None, after: Stamp | None) -> FileChange | None:
        old: bytes | None = None
        if before is not None:
            known = self._kept.get(path)
            if known is None or known[0] != before:
                return None
            old = known[1]
        new: bytes | None = None
        if after is not None:
            new = self._read(path) if after.size <= MAX_FILE_BYTES else None
            if new is None:
                return None
        return FileChange(path, old, new, _bits(before), _bits(after))

    def _read(self, path: str) -> bytes | None:
        *folders, name = Path(path).parts
        try:
            with open_folder(self._root, folders) as folder:
                return read_entry(folder, name, MAX_FILE_BYTES).content
        except OSError:
            return None


def _topmost_missing(path: str, folders: set[str]) -> str:
    """The topmost of a file's folders that is not among these; empty when they all are."""
    parts = path.split("/")[:-1]
    above = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return next((folder for folder in above if folder not in folders), "")


def _bits(stamp: Stamp | None) -> int | None:
    return None if stamp is None else stat.S_IMODE(stamp.mode)


def _different(before: dict[str, Stamp], after: dict[str, Stamp]) -> Iterable[str]:
    return (path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
