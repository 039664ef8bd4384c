"""One look over the workspace: its files with their stamps, the git folders in it, and files that hold secrets.

It opens no file and follows no symbolic link; generated folders are left out.
"""

from __future__ import annotations

import functools
import os
import stat
from collections import deque
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


def survey(root: Path, *, stamps: bool = True) -> Survey:
    """Look at everything below ``root``, nearest folders first. What cannot be read is not there.

    Without ``stamps`` only ``git`` and ``secrets`` are found, in a fraction of the time.
    """
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
        names = {entry.name for entry in inside}
        if names >= _BARE_REPOSITORY and folder:
            found.git.append(root / folder)
        if "pyvenv.cfg" in names and folder:
            continue  # a virtual environment
        _take_all(found, f"{folder}/" if folder else "", inside, folders, stamps)
    return found


def _take_all(found: Survey, prefix: str, entries: list[os.DirEntry[str]], folders: deque[str], stamps: bool) -> None:
    """Note the entries of a folder; a tight loop, for a command waits twice for thousands of turns of it."""
    files = found.files
    for entry in entries:
        name = entry.name
        relative = prefix + name
        if name == ".git":
            found.git.append(found.root / relative)
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                found.folders.add(relative)
                if name not in _GENERATED:
                    folders.append(relative)
                continue
            if not stamps:
                if _secret_name(name) and entry.is_file(follow_symlinks=False):
                    found.secrets.append(found.root / relative)
                continue
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if not stat.S_ISREG(facts.st_mode):
            found.others[relative] = stamp(facts)
            continue
        files[relative] = stamp(facts)
        if _secret_name(name):
            found.secrets.append(found.root / relative)


_stamp = Stamp._make


def stamp(facts: os.stat_result) -> Stamp:
    """The stamp of a file from its stat result."""
    return _stamp((facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino))


@functools.lru_cache(maxsize=50_000)
def _secret_name(name: str) -> bool:
    return is_secret((name,))
