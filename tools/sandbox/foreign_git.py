"""Git folders that a command made or changed: whether their settings or hooks would start programs, for the next git.

It runs no git. What is not known to be harmless counts as harmful.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from tools.sandbox.repository import git_folder, protected_in

_SECTION = re.compile(r'\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')
# What `git init`, `git clone` and everyday commands write, and no program.
_HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks|autocrlf|eol"
    r"|worktree|sparsecheckout|sparsecheckoutcone|abbrev|quotepath|safecrlf|whitespace|commentchar|compression)"
    r"|branch\..*\.(remote|merge|rebase|description)|remote\..*\.(url|pushurl|fetch|tagopt|prune)"
    r"|user\.(name|email)|author\..*|committer\..*|init\.defaultbranch|pull\.(rebase|ff)|push\.(default|autosetupremote)"
    r"|color\..*|extensions\.(objectformat|partialclone|worktreeconfig)|submodule\..*\.(url|active|branch)"
    r"|merge\.(ff|conflictstyle)|rebase\.(autosquash|autostash)|gc\.(?!recentobjectshook).*|commit\.(verbose|cleanup)|advice\..*"
    r"|safe\.directory|lfs\.repositoryformatversion|worktree\..*|index\..*|pack\..*|feature\..*|fetch\.prune"
)
_TODO_LISTS = ("rebase-merge/git-rebase-todo", "rebase-apply/git-rebase-todo", "sequencer/todo")
_MAX_FILE = 1_000_000
_MAX_PATH = 4_096


@dataclass(frozen=True, slots=True)
class Fault:
    """``path`` is what would have to go for git to start nothing, ``says`` what it would start, in a few words."""

    path: Path
    says: str


def faults_of(entry: Path) -> frozenset[Fault]:
    """What a git folder (or the file that stands for one) would start; a path outside of it means the entry itself."""
    if entry.is_symlink():
        return frozenset([Fault(entry, "is a link")])
    folder = git_folder(entry)
    if folder is None:
        return frozenset()
    found = [Fault(path, said) for path in protected_in(folder) if (said := _fault_at(path, folder))]
    todo = rebase_todo(entry)
    return frozenset([*found, *([Fault(todo, "has a rebase that would run commands")] if todo else [])])


def _fault_at(path: Path, folder: Path) -> str:
    if path.name == "hooks":
        return _hooks(path)
    if path.name == "gitdir":
        return ""  # where a linked worktree is; it holds no settings
    if path.name == "commondir":
        return "" if _leads_to(path, folder) else "names another repository's settings"
    return _settings(path)


def _leads_to(commondir: Path, folder: Path) -> bool:
    """Whether a ``commondir`` names the folder that it was found in, or where that one's worktrees belong."""
    try:
        text = commondir.read_bytes()[:_MAX_PATH].decode("utf-8", "surrogateescape").strip()
    except OSError:
        return False
    target = os.path.realpath(commondir.parent / text)
    return not commondir.is_symlink() and target in (
        os.path.realpath(folder),
        os.path.realpath(folder.parent.parent) if folder.parent.name == "worktrees" else "",
    )


def _hooks(folder: Path) -> str:
    if folder.is_symlink():
        return "has hooks that are a link"
    try:
        names = sorted(each.name for each in folder.iterdir() if not each.name.endswith(".sample"))
    except OSError:
        return ""
    return f"has the hook {names[0]}" if names else ""


def _settings(path: Path) -> str:
    try:
        if path.is_symlink():
            return "has settings that are a link"
        text = path.read_bytes()[: _MAX_FILE + 1].decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError:
        return "has settings that cannot be read"
    if len(text) > _MAX_FILE:
        return "has too many settings"
    section = ""
    for line in text.replace("\r", "\n").split("\n"):
        line = line.strip()
        while found := _SECTION.match(line):
            section = found[1].lower() + (f".{found[2]}" if found[2] is not None else "")
            line = line[found.end() :].strip()
        if not line or line[0] in "#;":
            continue
        key = re.split(r"[=\s]", line, maxsplit=1)[0].lower()
        if line.endswith("\\") or not _HARMLESS.fullmatch(f"{section}.{key}".lower()):
            return f"sets {section}.{key}"
    return ""


def rebase_todo(entry: Path) -> Path | None:
    """The list of a rebase that would run commands; None when there is none."""
    folder = git_folder(entry)
    if folder is None:
        return None
    for name in _TODO_LISTS:
        path = folder / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_FILE:
            continue
        words = {line.split()[0] for line in path.read_text("utf-8", "replace").splitlines() if line.split()}
        if words & {"exec", "x"}:
            return path
    return None


def identity(entry: Path) -> tuple[object, ...]:
    """What changes when a git folder's settings or hooks do."""
    folder = git_folder(entry)
    found: list[object] = [_facts(entry), None if folder is None else str(folder)]
    if folder is not None:
        found += [_facts(path) for path in protected_in(folder)]
        found += [_facts(folder / name) for name in _TODO_LISTS]
    return tuple(found)


def folder_identity(folder: Path) -> tuple[int, ...] | None:
    """Which folder it is, whatever becomes of what is in it; None where there is none."""
    try:
        facts = os.lstat(folder)
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISDIR(facts.st_mode) else None


def _facts(path: Path) -> tuple[int, ...] | None:
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    if path.name != "hooks" and stat.S_ISDIR(facts.st_mode):
        return (facts.st_ino, facts.st_mode)  # its time changes with every placeholder in it
    return (facts.st_ino, facts.st_mode, facts.st_size, facts.st_ctime_ns)
