"""Which change a review is about: by the flags of the command line, or by what git tells its hooks.

It judges nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import UsageError
from agent.review.repository import Repository
from tools.git import GitError
from tools.git_changes import ChangedFile, Changes, Range


@dataclass(frozen=True, slots=True)
class Wanted:
    """``args`` of the command line, given in the folder ``cwd``; ``given`` are variables that git set for a hook.

    ``pushed`` is what git writes to a pre-push hook: lines of local name, local commit, remote name, remote commit.
    """

    args: argparse.Namespace
    cwd: Path
    given: Mapping[str, str]
    pushed: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """The changed files, the repository as the change leaves it, and sentences on what is not among them."""

    files: tuple[ChangedFile, ...]
    repository: Repository = field(default_factory=Repository)
    notes: tuple[str, ...] = ()


def changed_files(root: Path, wanted: Wanted) -> Change:
    """What is to be reviewed in the repository ``root``; raises UsageError for an unknown revision or path."""
    changes = Changes(root, wanted.given)
    paths = [_inside(root, wanted.cwd / path) for path in wanted.args.paths]
    try:
        ranges = _ranges(changes, wanted)
        files = [file for each in ranges for file in changes.read(each, paths)]
    except GitError as error:
        raise UsageError(f"The change cannot be read: {error}.") from error
    merge = any(each.merged for each in ranges)
    notes = ("A merge: only what differs from all of its sides is reviewed.",) if merge else ()
    last = ranges[-1] if ranges else Range()
    repository = Repository(lambda path: changes.text(path, last), lambda word: changes.mentions(word, last))
    return Change(tuple(files), repository, notes)


def _ranges(changes: Changes, wanted: Wanted) -> list[Range]:
    args = wanted.args
    if args.hook == "pre-push":
        return _pushed(changes, wanted.pushed)
    if args.base:
        return [changes.base_range(args.base)]
    if args.commit:
        return [changes.commit_range(args.commit)]
    return [Range(new="worktree") if args.worktree else changes.index_range()]


def _pushed(changes: Changes, lines: str) -> list[Range]:
    """One range for each name that is pushed; none for one that is deleted."""
    rows = [line.split() for line in lines.splitlines()]
    found = [changes.push_range(row[1], row[3]) for row in rows if len(row) == 4 and row[1].strip("0")]
    return list(dict.fromkeys(found))


def _inside(root: Path, path: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError as error:
        raise UsageError(f"{path} is not in the repository {root}.") from error
