"""Makes the policy of one command: what is writable, protected and hidden for this workspace and this user.

It looks at the file system and changes nothing.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.commands import Access
from tools.git import Git, GitError
from tools.git_programs import RunByGit
from tools.launch import CommandLine
from tools.protected import READ_ONLY_NAMES
from tools.sandbox.hidden import HiddenPlaces
from tools.sandbox.policy import PROGRAM_VARIABLES, Policy, program_folders
from tools.sandbox.repository import git_places
from tools.sandbox.survey import Survey

_PACKAGES = Path(__file__).resolve().parents[2]  # where our own code lies
_OWN_CODE = ("agent", "inference", "tools", "prompts", "tui")
_HEAD_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Plan:
    """``policy`` without masks; ``placeholders`` are protected paths that do not exist; ``secrets`` files to hide;
    ``git`` the git folders of the workspace, all of them if ``complete``.
    """

    policy: Policy
    placeholders: tuple[Path, ...]
    secrets: tuple[Path, ...]
    git: tuple[Path, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class User:
    """Whose secrets are hidden: a home folder, and this program's own folders of settings and state."""

    home: Path
    own: tuple[Path, ...] = ()


class Planner:
    """Plans for one workspace."""

    def __init__(self, workspace: Path, user: User) -> None:
        self._workspace = workspace
        self._home = Path(os.path.realpath(user.home))
        self._hidden = HiddenPlaces(self._home, user.own)
        self._programs: tuple[tuple[str, ...], tuple[Path, ...]] = ((), ())
        self._tracked: dict[tuple[Path, int], bool] = {}
        self._own_code = _code_inside(self._workspace)
        self._run_by_git = RunByGit(self._workspace)

    @property
    def writable_at_all(self) -> bool:
        """False for a home folder, or one above: everything of the user's would be open to any command."""
        return not self._home.is_relative_to(self._workspace)

    def plan(self, line: CommandLine, access: Access, found: Survey, temporary: Path) -> Plan:
        """The plan for one command."""
        workspace = self._workspace
        git = git_places(workspace, found.git)
        protected = [workspace / name for name in READ_ONLY_NAMES if name != ".git"]
        protected += [*git.read_only, *self._run_by_git.now(), *(path for path in self._own_code if path.exists())]
        writes = access.writes and self.writable_at_all
        missing = [path for path in protected if not os.path.lexists(path)]
        policy = Policy(
            folder=line.folder,
            workspace=workspace,
            temporary=temporary,
            writable=(workspace, *git.writable) if writes else (),
            read_only=tuple(path for path in protected if path not in missing and not path.is_symlink()),
            hidden=self._hidden.now(),
            visible=self._program_folders(line),
            network=access.network,
        )
        top = workspace / ".git"
        if top.is_dir() and not top.is_symlink():
            missing.append(top / "commondir")
        secrets = tuple(path for path in found.secrets if self._is_secret(path))
        return Plan(policy, tuple(missing) if writes else (), secrets, tuple(found.git), found.complete)

    def _program_folders(self, line: CommandLine) -> tuple[Path, ...]:
        key = tuple(line.environment.get(name, "") for name in PROGRAM_VARIABLES)
        if self._programs[0] != key:
            self._programs = (key, program_folders(line.environment))
        return self._programs[1]

    def _is_secret(self, path: Path) -> bool:
        """By its name it is; but certificates are none, and keys that are committed are everybody's."""
        name = path.name.lower()
        if name.startswith(".env") or name.endswith(".env"):
            return True
        if name.endswith(".pem") and not _has_private_key(path):
            return False
        return not self._is_tracked(path)

    def _is_tracked(self, path: Path) -> bool:
        try:
            key = (path, (self._workspace / ".git/index").stat().st_mtime_ns)
            if key not in self._tracked:
                self._tracked[key] = Git(self._workspace).is_tracked(path.relative_to(self._workspace).as_posix())
            return self._tracked[key]
        except (OSError, GitError):
            return False


def _code_inside(workspace: Path) -> tuple[Path, ...]:
    """What runs as us, where that lies in the workspace: changing it would be a way out at the next start."""
    places = [Path(sys.prefix), *(_PACKAGES / name for name in _OWN_CODE)]
    real = [Path(os.path.realpath(path)) for path in places]
    return tuple(path for path in real if path != workspace and path.is_relative_to(workspace))


def _has_private_key(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"PRIVATE KEY" in file.read(_HEAD_BYTES)
    except OSError:
        return True
