"""One look over the workspace: its files with their stamps, the git folders in it, and files that hold secrets.

It opens no file and follows no symbolic link; generated folders are left out.
"""

from __future__ import annotations

import functools
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tools.protected import is_secret

MAX_ENTRIES = 20_000  # beyond that commands would wait for the survey; then no changes are recorded
# What tools make anew; nobody undoes it. `.git` and the rest of version control have rules of their own.
_GENERATED = frozenset(
    {
        ".git", ".hg", ".svn", ".jj", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache",
        ".ruff_cache", ".hypothesis", ".gradle", ".next", ".terraform", ".direnv", ".eggs", ".ipynb_checkpoints",
        "site-packages",
    }
)  # fmt: skip
_TICK_NS = 2_500_000_000  # some file systems note times in steps of two seconds
_BARE_REPOSITORY = frozenset({"HEAD", "objects", "refs"})


class Stamp(NamedTuple):  # thousands are made and compared for each command
    """What changes whenever a file does; times in nanoseconds. ``changed`` (ctime) cannot be set by a program."""

    mode: int
    size: int
    modified: int
    changed: int
    inode: int


@dataclass(slots=True)
class Survey:
    """``files`` are regular files by path relative to the root, ``others`` symbolic links and special files,
    ``folders`` those that were seen.

    ``git`` are entries named .git, and folders that git would take for a bare repository; ``secrets`` the files whose
    name says that they hold keys or passwords. ``complete`` False: there was more than MAX_ENTRIES.
    """

    root: Path
    files: dict[str, Stamp] = field(default_factory=dict[str, Stamp])
    others: dict[str, Stamp] = field(default_factory=dict[str, Stamp])
    folders: set[str] = field(default_factory=set[str])
    git: list[Path] = field(default_factory=list[Path])
    secrets: list[Path] = field(default_factory=list[Path])
    complete: bool = True


def survey(root: Path) -> Survey:
    """Look at everything below ``root``, nearest folders first. What cannot be read is not there."""
    found = Survey(root)
    folders = deque([""])
    seen = 0
    while folders:
        folder = folders.popleft()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:  # noqa: PTH118 - twice as fast
                inside = list(entries)
        except OSError:
            continue
        seen += len(inside)
        if seen > MAX_ENTRIES:
            found.complete = False
            return found
        contents = _contents(root, folder, inside)
        found.git += contents.git
        found.secrets += contents.secrets
        folders += contents.inner
        if not contents.environment:
            _stamp_all(found, f"{folder}/" if folder else "", inside)
    return found


class _Contents(NamedTuple):
    """What of a folder's entries matters: git's, secrets, and folders to look into; nothing of an ``environment``."""

    git: tuple[Path, ...]
    secrets: tuple[Path, ...] = ()
    inner: tuple[str, ...] = ()
    environment: bool = False


def _contents(root: Path, folder: str, inside: Sequence[os.DirEntry[str]]) -> _Contents:
    """``folder`` is relative to the root, empty for itself."""
    names = {entry.name for entry in inside}
    git = [root / folder] if folder and names >= _BARE_REPOSITORY else []
    if folder and "pyvenv.cfg" in names:
        return _Contents(tuple(git), environment=True)
    prefix = f"{folder}/" if folder else ""
    secrets: list[Path] = []
    inner: list[str] = []
    for entry in inside:
        name = entry.name
        if name == ".git":
            git.append(root / (prefix + name))
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                if name not in _GENERATED:
                    inner.append(prefix + name)
            elif _secret_name(name) and entry.is_file(follow_symlinks=False):
                secrets.append(root / (prefix + name))
        except OSError:
            continue
    return _Contents(tuple(git), tuple(secrets), tuple(inner))


def _stamp_all(found: Survey, prefix: str, entries: Sequence[os.DirEntry[str]]) -> None:
    """Note the entries of a folder; a tight loop, for a command waits twice for thousands of turns of it."""
    files = found.files
    for entry in entries:
        name = entry.name
        relative = prefix + name
        if name == ".git":
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                found.folders.add(relative)
                continue
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        (files if stat.S_ISREG(facts.st_mode) else found.others)[relative] = stamp(facts)


class Places:
    """Finds a survey's ``git`` and ``secrets`` again and again, in a fraction of the time; it has no stamps.

    A folder is read again when its time of change (which no program can set) is another one, or so new that more may
    have happened in the same tick of the clock.
    """

    def __init__(self, root: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._root = root
        self._clock = clock
        self._known: dict[str, _Folder] = {}

    def look(self) -> Survey:
        """Without files, others and folders."""
        found = Survey(self._root)
        folders = deque([""])
        known: dict[str, _Folder] = {}
        seen = 0
        while folders:
            name = folders.popleft()
            folder = self._folder(name)
            if folder is None:
                continue
            seen += folder.entries
            if seen > MAX_ENTRIES:
                found.complete = False
                break
            known[name] = folder
            found.git += folder.contents.git
            found.secrets += folder.contents.secrets
            folders += folder.contents.inner
        self._known = known
        return found

    def _folder(self, name: str) -> _Folder | None:
        place = os.path.join(self._root, name) if name else str(self._root)  # noqa: PTH118 - twice as fast
        now = self._clock()
        try:
            facts = os.stat(place, follow_symlinks=False)  # noqa: PTH116
            known = self._known.get(name)
            if known is not None and (known.inode, known.changed) == (facts.st_ino, facts.st_ctime_ns):
                return known
            with os.scandir(place) as entries:
                inside = list(entries)
        except OSError:
            return None
        settled = now - facts.st_ctime_ns > _TICK_NS
        contents = _contents(self._root, name, inside)
        return _Folder(facts.st_ino, facts.st_ctime_ns if settled else 0, len(inside), contents)


class _Folder(NamedTuple):
    """What a folder held; ``changed`` is 0 where that cannot be relied on."""

    inode: int
    changed: int
    entries: int
    contents: _Contents


_stamp = Stamp._make


def stamp(facts: os.stat_result) -> Stamp:
    """The stamp of a file from its stat result."""
    return _stamp((facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino))


@functools.lru_cache(maxsize=50_000)
def _secret_name(name: str) -> bool:
    return is_secret((name,))
