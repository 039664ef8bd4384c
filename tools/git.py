"""Every git call of the program, hardened so that a repository's own configuration starts nothing.

It decides nothing and changes nothing: only reading commands are offered.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.programs import find_program

_TIMEOUT_S = 30.0

# Each of these keys, set in a repository's config, made a plain git command run a program.
_HARDENED = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "core.askPass=",
    "credential.helper=",
    "log.showSignature=false",
    "safe.bareRepository=explicit",
    "protocol.allow=never",
    "submodule.recurse=false",
    "diff.ignoreSubmodules=all",
)
# What git tells its hooks; a commit of some files has an index of its own.
HOOK_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
_NOTHING_GIVEN: Mapping[str, str] = {}
_DIFF_FLAGS = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all")


class GitError(Exception):
    """A git command failed, or git is not installed; the message is its first line of complaint."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the repository stands: ``commit`` is None before the first one, ``branch`` when the head is detached."""

    commit: str | None
    branch: str | None


def find_root(path: Path, given: Mapping[str, str] = _NOTHING_GIVEN) -> Path | None:
    """The top folder of the repository that ``path`` is in; None outside of any, or without git.

    ``given`` are those of HOOK_VARIABLES that count.
    """
    start = path if path.is_dir() else path.parent
    try:
        out = _run(start, ["rev-parse", "--show-toplevel"], given)
    except GitError:
        return None
    return Path(os.fsdecode(out.rstrip(b"\n"))) if out.strip() else None


class Git:
    """The reading commands on one repository; each raises GitError when git refuses or is missing.

    Paths go in and out relative to ``root``, which is a folder inside the work tree. ``given`` are those of
    HOOK_VARIABLES that count: none, except for a program that git called as a hook.
    """

    def __init__(self, root: Path, given: Mapping[str, str] = _NOTHING_GIVEN) -> None:
        self.root = root
        self._given = given

    def head(self) -> Head:
        """The current commit and branch."""
        try:
            commit = _run(self.root, ["rev-parse", "--verify", "HEAD"], self._given).decode().strip()
        except GitError:
            commit = None
        try:
            branch = (
                _run(self.root, ["symbolic-ref", "--short", "HEAD"], self._given).decode("utf-8", "replace").strip()
            )
        except GitError:
            branch = None
        return Head(commit, branch)

    def status(self) -> list[tuple[str, str]]:
        """Changed and untracked files as (two-letter code of ``git status``, path), in git's order."""
        fields = self.read("status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=all")
        found: list[tuple[str, str]] = []
        parts = iter(_split(fields))
        for part in parts:
            found.append((part[:2], part[3:]))
            if part[0] in "RC":
                next(parts, None)  # the old name follows a rename
        return found

    def is_tracked(self, path: str) -> bool:
        """Whether ``path`` is in the index."""
        return bool(self.read("ls-files", "-z", "--", path))

    def ls_files(self, untracked: bool = True) -> list[str]:
        """The files in the index, and those neither tracked nor ignored; sorted, each once."""
        others = ["--others"] if untracked else []
        return sorted(set(_split(self.read("ls-files", "-z", "--cached", *others, "--exclude-standard"))))

    def diff(self, paths: tuple[str, ...] = (), cached: bool = False, context_lines: int = 3) -> str:
        """The unified diff of the work tree against the index, or with ``cached`` of the index against the head."""
        flags = [*_DIFF_FLAGS, f"--unified={context_lines}", *(["--cached"] if cached else [])]
        return self.read("diff", *flags, "--", *paths).decode("utf-8", "replace")

    def show(self, path: str, revision: str = "HEAD") -> bytes | None:
        """A file's content in a commit (``revision``) or in the index (empty string); None when it is not there."""
        try:
            return self.read("cat-file", "blob", f"{revision}:./{path}")
        except GitError:
            return None

    def read(self, *arguments: str, text: bytes = b"") -> bytes:
        """What a reading command of git prints, for those who ask more of git than the methods here.

        ``text`` is its standard input.
        """
        return _run(self.root, [*self._without_filters(), *arguments], self._given, text)

    def configured(self, key: str, kind: str = "") -> str | None:
        """A setting as the user and the repository have it, not as we set it for our own calls; None when unset."""
        flags = [f"--type={kind}"] if kind else []
        try:
            out = self.read("config", "--null", "--show-scope", *flags, "--get-all", key)
        except GitError:
            return None
        fields = _split(out)
        values = [value for scope, value in zip(fields[::2], fields[1::2], strict=False) if scope != "command"]
        return values[-1] if values else None

    def _without_filters(self) -> list[str]:
        """Flags that switch off each configured clean, smudge and process filter (they are commands)."""
        try:
            out = _run(self.root, ["config", "--null", "--name-only", "--get-regexp", r"^filter\..*"], self._given)
        except GitError:
            return []
        keys = {key.rsplit(".", 1)[0] for key in _split(out)}
        settings = [f"{key}.{what}" for key in sorted(keys) for what in ("clean=", "smudge=", "process=")]
        settings += [f"{key}.required=false" for key in sorted(keys)]
        return [flag for setting in settings for flag in ("-c", setting)]


def _split(fields: bytes) -> list[str]:
    return [os.fsdecode(field) for field in fields.split(b"\0") if field]


def _run(folder: Path, arguments: list[str], given: Mapping[str, str], text: bytes = b"") -> bytes:
    program = find_program("git", folder)
    if program is None:
        raise GitError("git is not installed.")
    flags = [flag for setting in _HARDENED for flag in ("-c", setting)]
    try:
        done = subprocess.run(
            [program, "--no-pager", "--literal-pathspecs", *flags, *arguments],
            cwd=folder,
            env=_environment() | {name: given[name] for name in HOOK_VARIABLES if name in given},
            input=text,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise GitError(f"git {arguments[0]} could not run: {error}") from error
    if done.returncode != 0:
        complaint = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise GitError(complaint or f"git ended with exit code {done.returncode}.")
    return done.stdout


def _environment() -> dict[str, str]:
    """The environment without variables that name programs or other repositories."""
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR"}}
    return kept | {
        "LC_ALL": "C.UTF-8",
        "GIT_OPTIONAL_LOCKS": "0",  # status must not write the index
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "none",  # a partial clone must not fetch
        "GIT_NO_LAZY_FETCH": "1",
    }
