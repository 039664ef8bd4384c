"""What a commit, the index or the work tree changes: the files with both contents, and the changed lines.

It judges nothing. Every git call goes through ``tools.git``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tools.git import Git, GitError
from tools.text import decode, is_binary

_NULL = re.compile(r"^0+$")
_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_GITLINK = "160000"
_SYMLINK = "120000"

Status = Literal["added", "deleted", "modified", "renamed", "copied", "type changed"]
_STATUS: dict[str, Status] = {
    "A": "added", "D": "deleted", "M": "modified", "R": "renamed", "C": "copied", "T": "type changed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Range:
    """What to compare. ``old`` None is the head (or nothing, before the first commit); ``new`` is a commit, or one of
    ``"index"`` and ``"worktree"``.
    """

    old: str | None = None
    new: str = "index"


@dataclass(frozen=True, slots=True)
class Hunk:
    """Replaced lines: ``old_count`` from ``old_start`` on became ``new_count`` from ``new_start`` on (from 1).

    With a count of 0 the start is the line before which nothing stands or stood, as git prints it plus one.
    """

    old_start: int
    old_count: int
    new_start: int
    new_count: int


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One file of a change; a text is None where the file is not there, binary, a link, or too large to be read.

    ``skipped`` says why a file has nothing to be looked at.
    """

    path: str
    old_path: str
    status: Status
    old: str | None
    new: str | None
    hunks: tuple[Hunk, ...] = ()
    skipped: str | None = None

    @property
    def added_lines(self) -> frozenset[int]:
        """Numbers of the new file's lines that the change wrote."""
        return frozenset(n for hunk in self.hunks for n in range(hunk.new_start, hunk.new_start + hunk.new_count))


@dataclass(frozen=True, slots=True)
class _Entry:
    old_mode: str
    new_mode: str
    old_id: str
    new_id: str
    status: str
    old_path: str
    path: str


class Changes:
    """Reads what lies between two states of the repository at ``root`` (its top folder)."""

    def __init__(self, root: Path, max_bytes: int = 1_000_000) -> None:
        self.root = root
        self._git = Git(root)
        self._max_bytes = max_bytes

    def commit_range(self, revision: str) -> Range:
        """A commit against its first parent (a root commit against nothing); raises GitError for an unknown one."""
        commit = self._commit(revision)
        parents = self._git.read("rev-list", "--parents", "-n", "1", commit).decode().split()[1:]
        return Range(parents[0] if parents else self._nothing(), commit)

    def base_range(self, revision: str) -> Range:
        """The head against the point where it left ``revision``; raises GitError for an unknown one."""
        base, head = self._commit(revision), self._commit("HEAD")
        try:
            base = self._git.read("merge-base", base, head).decode().strip()
        except GitError as error:
            raise GitError(f"{revision} and HEAD have no commit in common") from error
        return Range(base, head)

    def read(self, wanted: Range, paths: Sequence[str] = ()) -> list[ChangedFile]:
        """The changed files in git's order; raises GitError."""
        return [self._file(entry, wanted) for entry in self._entries(wanted, paths)]

    def _commit(self, revision: str) -> str:
        if revision.startswith("-"):
            raise GitError(f"{revision} is not a revision")
        try:
            return self._git.read("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
        except GitError as error:
            raise GitError(f"{revision} is not a commit of this repository") from error

    def _arguments(self, wanted: Range) -> list[str]:
        if wanted.new == "index":
            return ["--cached", *([wanted.old] if wanted.old else [])]
        if wanted.new == "worktree":
            return [wanted.old or self._head_or_nothing()]
        return [wanted.old or self._nothing(), wanted.new]

    def _head_or_nothing(self) -> str:
        return self._git.head().commit or self._nothing()

    def _nothing(self) -> str:
        """The id of a tree without files, by this repository's hash function."""
        return self._git.read("hash-object", "-t", "tree", "--stdin").decode().strip()

    def _entries(self, wanted: Range, paths: Sequence[str]) -> Iterator[_Entry]:
        flags = ["--raw", "-z", "--no-abbrev", "-M", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all"]
        fields = self._git.read("diff", *flags, *self._arguments(wanted), "--", *paths).split(b"\0")
        parts = iter(fields)
        for head in parts:
            if not head.startswith(b":"):
                continue
            old_mode, new_mode, old_id, new_id, status = head[1:].decode().split()
            old_path = path = os.fsdecode(next(parts))
            if status[0] in "RC":
                path = os.fsdecode(next(parts))
            yield _Entry(old_mode, new_mode, old_id, new_id, status[0], old_path, path)

    def _file(self, entry: _Entry, wanted: Range) -> ChangedFile:
        status = _STATUS.get(entry.status, "modified")
        what = (entry.path, entry.old_path, status)
        if entry.status == "U":
            return ChangedFile(*what, None, None, skipped="it has unresolved conflicts")
        if _GITLINK in (entry.old_mode, entry.new_mode):
            return ChangedFile(*what, None, None, skipped="it is a submodule")
        if _SYMLINK in (entry.old_mode, entry.new_mode):
            return ChangedFile(*what, None, None, skipped="it is a symbolic link")
        try:
            old = None if status == "added" else self._content(entry.old_id, None)
            fallback = entry.path if wanted.new == "worktree" else None
            new = None if status == "deleted" else self._content(entry.new_id, fallback)
        except _TooLargeError as error:
            return ChangedFile(*what, None, None, skipped=f"it is too large ({error} bytes)")
        if any(content is not None and is_binary(content) for content in (old, new)):
            return ChangedFile(*what, None, None, skipped="it is binary")
        hunks = self._hunks(entry, wanted) if old != new else ()
        texts = [None if content is None else decode(content).text for content in (old, new)]
        return ChangedFile(*what, *texts, hunks=hunks, skipped=None if hunks else _without_lines(entry))

    def _content(self, blob: str, path: str | None) -> bytes | None:
        if not _NULL.match(blob):
            size = int(self._git.read("cat-file", "-s", blob))
            if size > self._max_bytes:
                raise _TooLargeError(size)
            return self._git.read("cat-file", "blob", blob)
        if path is None:
            return b""
        full = self.root / path
        if full.is_symlink() or not full.is_file():
            return None
        if full.stat().st_size > self._max_bytes:
            raise _TooLargeError(full.stat().st_size)
        return full.read_bytes()

    def _hunks(self, entry: _Entry, wanted: Range) -> tuple[Hunk, ...]:
        flags = ["--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "-M", "--inter-hunk-context=0"]
        paths = dict.fromkeys((entry.old_path, entry.path))
        out = self._git.read("diff", *flags, *self._arguments(wanted), "--", *paths)
        found: list[Hunk] = []
        for match in _HUNK.finditer(out):
            old, old_count, new, new_count = (1 if group is None else int(group) for group in match.groups())
            found.append(Hunk(old + (old_count == 0), old_count, new + (new_count == 0), new_count))
        return tuple(found)


class _TooLargeError(Exception):
    """A file has more bytes than are looked at."""


def _without_lines(entry: _Entry) -> str:
    if entry.status in "RC":
        return f"it was only {'renamed' if entry.status == 'R' else 'copied'} from {entry.old_path}"
    if entry.old_mode != entry.new_mode and entry.status == "M":
        return "only its mode changed"
    return "it is empty" if entry.status in "AD" else "no line of it changed"
