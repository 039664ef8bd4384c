"""What a commit, the index or the work tree changes: the files with both contents, and the changed lines.

It judges nothing. Every git call goes through ``tools.git``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tools.git import Git, GitError
from tools.git_blobs import Blobs, UnreadableError
from tools.text import decode, is_binary

_NULL = re.compile(r"^0+$")
_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_SECTION = re.compile(rb"^diff --git ", re.MULTILINE)  # every line of a file's content begins with a sign
_GITLINK = "160000"
_SYMLINK = "120000"
_DIFF_FLAGS = ("-M", "-O/dev/null", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all")
_NOTHING_GIVEN: Mapping[str, str] = {}

Status = Literal["added", "deleted", "modified", "renamed", "copied", "type changed"]
_STATUS: dict[str, Status] = {
    "A": "added", "D": "deleted", "M": "modified", "R": "renamed", "C": "copied", "T": "type changed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Range:
    """What to compare. ``old`` None is the head (or nothing, before the first commit); ``new`` is a commit, or one of
    ``"index"`` and ``"worktree"``. Of a merge only what differs from all of ``merged``, too, is its own change.
    """

    old: str | None = None
    new: str = "index"
    merged: tuple[str, ...] = ()


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
    """Reads what lies between two states of the repository at ``root`` (its top folder); ``given`` as for Git."""

    def __init__(self, root: Path, given: Mapping[str, str] = _NOTHING_GIVEN, max_bytes: int = 1_000_000) -> None:
        self.root = root
        self._git = Git(root, given)
        self._max_bytes = max_bytes

    def index_range(self) -> Range:
        """What is staged; while a merge is under way, what differs from both sides."""
        try:
            merged = self._commit("MERGE_HEAD")
        except GitError:
            return Range()
        return Range(merged=(merged,))

    def commit_range(self, revision: str) -> Range:
        """A commit against its parents (a root commit against nothing); raises GitError for an unknown one."""
        commit = self._commit(revision)
        parents = self._git.read("rev-list", "--parents", "-n", "1", commit).decode().split()[1:]
        return Range(parents[0], commit, tuple(parents[1:])) if parents else Range(self._nothing(), commit)

    def push_range(self, local: str, remote: str) -> Range:
        """What a push of the commit ``local`` brings where ``remote`` is known to be (zeros: nothing is there yet).

        Raises GitError for a commit that is not here.
        """
        local = self._commit(local)
        if not _NULL.match(remote):
            try:
                return Range(self._git.read("merge-base", remote, local).decode().strip(), local)
            except GitError:
                pass  # the remote has something that was never fetched
        news = self._git.read("rev-list", "--topo-order", local, "--not", "--remotes").decode().split()
        if not news:
            return Range(local, local)
        return Range(self.commit_range(news[-1]).old, local)

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
        entries = list(self._entries(wanted, paths))
        others = [self._written(replace(wanted, old=other, merged=()), paths) for other in wanted.merged]
        entries = [entry for entry in entries if all(entry.path in written for written in others)]
        ids = {each for entry in entries for each in (entry.old_id, entry.new_id) if not _NULL.match(each)}
        blobs = Blobs(self._git, ids, self._max_bytes)
        hunks = self._hunks(entries, wanted, paths)
        files = [self._file(entry, found, blobs, wanted) for entry, found in zip(entries, hunks, strict=True)]
        return [_own(file, [written[file.path] for written in others]) for file in files]

    def text(self, path: str, wanted: Range) -> str | None:
        """A file as the change leaves it; None where there is none, or nothing that is text of a sensible size."""
        content: bytes | None
        if wanted.new == "worktree":
            full = self.root / path
            inside = full.resolve().is_relative_to(self.root.resolve())
            sound = inside and full.is_file() and full.stat().st_size <= self._max_bytes
            content = full.read_bytes() if sound else None
        else:
            content = self._git.show(path, "" if wanted.new == "index" else wanted.new)
        if content is None or len(content) > self._max_bytes or is_binary(content):
            return None
        return decode(content).text

    def mentions(self, word: str, wanted: Range, limit: int = 50) -> list[str]:
        """The paths of files in which ``word`` stands as a word, in git's order."""
        place = {"index": ["--cached"], "worktree": []}.get(wanted.new, [wanted.new])
        flags = ["-l", "-z", "-w", "-F", "-I", "--no-color", "--no-textconv", "--threads=1"]
        try:
            found = self._git.read("grep", *flags, "-e", word, *place).split(b"\0")
        except GitError:  # this is also how git says that it is nowhere
            return []
        start = 0 if wanted.new in ("index", "worktree") else len(wanted.new) + 1
        return [os.fsdecode(path)[start:] for path in found if path][:limit]

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
        flags = ["--raw", "-z", "--no-abbrev", *_DIFF_FLAGS]
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

    def _written(self, wanted: Range, paths: Sequence[str]) -> dict[str, tuple[Hunk, ...]]:
        """By path, what lies between two states."""
        entries = list(self._entries(wanted, paths))
        hunks = self._hunks(entries, wanted, paths)
        return {entry.path: found for entry, found in zip(entries, hunks, strict=True)}

    def _file(self, entry: _Entry, hunks: tuple[Hunk, ...], blobs: Blobs, wanted: Range) -> ChangedFile:
        status = _STATUS.get(entry.status, "modified")
        what = (entry.path, entry.old_path, status)
        if entry.status == "U":
            return ChangedFile(*what, None, None, skipped="it has unresolved conflicts")
        if _GITLINK in (entry.old_mode, entry.new_mode):
            return ChangedFile(*what, None, None, skipped="it is a submodule")
        if _SYMLINK in (entry.old_mode, entry.new_mode):
            return ChangedFile(*what, None, None, skipped="it is a symbolic link")
        try:
            old = None if status == "added" else self._content(entry.old_id, None, blobs)
            fallback = entry.path if wanted.new == "worktree" else None
            new = None if status == "deleted" else self._content(entry.new_id, fallback, blobs)
        except UnreadableError as error:
            return ChangedFile(*what, None, None, skipped=str(error))
        if any(content is not None and is_binary(content) for content in (old, new)):
            return ChangedFile(*what, None, None, skipped="it is binary")
        texts = [None if content is None else decode(content).text for content in (old, new)]
        return ChangedFile(*what, *texts, hunks=hunks, skipped=None if hunks else _without_lines(entry))

    def _content(self, blob: str, path: str | None, blobs: Blobs) -> bytes | None:
        if not _NULL.match(blob):
            return blobs.content(blob)
        if path is None:
            return b""
        full = self.root / path
        if full.is_symlink() or not full.is_file():
            return None
        if full.stat().st_size > self._max_bytes:
            raise UnreadableError(f"it is too large ({full.stat().st_size} bytes)")
        return full.read_bytes()

    def _hunks(self, entries: Sequence[_Entry], wanted: Range, paths: Sequence[str]) -> list[tuple[Hunk, ...]]:
        """Each entry's changed lines, from one diff of everything; from a diff each where that cannot be told apart."""
        sections = _SECTION.split(self._diff(wanted, *paths))[1:]
        if len(sections) == len(entries) and all(entry.status not in "TU" for entry in entries):
            return [_hunks_of(section) for section in sections]
        return [_hunks_of(self._diff(wanted, *dict.fromkeys((e.old_path, e.path)))) for e in entries]

    def _diff(self, wanted: Range, *paths: str) -> bytes:
        flags = ["--unified=0", "--text", "--no-color", "--inter-hunk-context=0", *_DIFF_FLAGS]
        return self._git.read("diff", *flags, *self._arguments(wanted), "--", *paths)


def _hunks_of(diff: bytes) -> tuple[Hunk, ...]:
    found: list[Hunk] = []
    for match in _HUNK.finditer(diff):
        old, old_count, new, new_count = (1 if group is None else int(group) for group in match.groups())
        found.append(Hunk(old + (old_count == 0), old_count, new + (new_count == 0), new_count))
    return tuple(found)


def _own(file: ChangedFile, others: Sequence[tuple[Hunk, ...]]) -> ChangedFile:
    """A merged file with those changes only that the other sides do not have either."""
    if not others or file.skipped is not None:
        return file
    kept = tuple(hunk for hunk in file.hunks if all(any(_meet(hunk, each) for each in hunks) for hunks in others))
    return replace(file, hunks=kept, skipped=None if kept else "it was merged as one side had it")


def _meet(one: Hunk, other: Hunk) -> bool:
    """Whether two changes wrote into the same lines."""
    ends = [hunk.new_start + max(1, hunk.new_count) for hunk in (one, other)]
    return max(one.new_start, other.new_start) < min(ends)


def _without_lines(entry: _Entry) -> str:
    if entry.status in "RC":
        return f"it was only {'renamed' if entry.status == 'R' else 'copied'} from {entry.old_path}"
    if entry.old_mode != entry.new_mode and entry.status == "M":
        return "only its mode changed"
    return "it is empty" if entry.status in "AD" else "no line of it changed"
