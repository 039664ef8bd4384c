"""What git would run, or take settings from, that lies in the workspace: hooks and programs that the settings name.

Whoever changes such a file has a program started outside of any sandbox at the next commit. It protects nothing itself.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.git import Git, GitError

_HOOKS_PATH = "core.hookspath"
# Values of these are files that git only reads, or names that may happen to be a file's.
_READ_ONLY_USES = ("core.excludesfile", "core.attributesfile", "blame.ignorerevsfile", "commit.template")
# Where git looks for more settings, or that decide which ones count (`includeIf "onbranch:..."`).
_OWN = ("config", "config.worktree", "hooks", "commondir", "HEAD")
_NAMES = ("user.", "author.", "committer.", "branch.", "remote.", "init.", "color.", "url.", "submodule.", "advice.")


class RunByGit:
    """Of the repository at ``root``; git is asked again only when a file of its settings has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: tuple[Path, ...] = ()
        self._sources: dict[Path, tuple[int, ...] | None] = {}

    def now(self) -> tuple[Path, ...]:
        """Real paths of files and folders below the root; not what lies in .git itself, except by a link."""
        if not os.path.lexists(self._root / ".git"):
            return ()
        if not self._sources or any(_facts(path) != known for path, known in self._sources.items()):
            self._ask()
        return self._found

    def _ask(self) -> None:
        git = self._root / ".git"
        own = [git / name for name in _OWN]
        hooks = git / "hooks"
        home = Path(os.path.expanduser("~"))  # noqa: PTH111 - as git finds it, by HOME
        users = (home / ".gitconfig", home / ".config/git/config")
        settings = list(_settings(self._root))
        origins = {self._root / origin for origin, _, _ in settings}
        wanted = [*origins, *own, *_links_in(hooks)]
        for origin, key, value in settings:
            wanted += _programs(self._root, self._root / origin, key, value)
        # A folder is not looked at: what is put into it, a lock while git works, say, changes no setting.
        link = () if git.is_dir() else (git,)
        self._sources = {path: _facts(path) for path in (*link, *own, *users, *origins)}
        self._found = tuple(dict.fromkeys(self._inside(wanted)))

    def _inside(self, paths: Iterable[Path]) -> Iterator[Path]:
        root = Path(os.path.realpath(self._root))
        for path in paths:
            real = Path(os.path.realpath(path))
            relative = real.relative_to(root).parts if real.is_relative_to(root) else ()
            if relative and relative[0] != ".git":
                yield real


def _settings(root: Path) -> Iterator[tuple[str, str, str]]:
    """Each setting as (file that it comes from, key, value)."""
    try:
        fields = Git(root).read("config", "--list", "--includes", "--show-origin", "--null").split(b"\0")
    except GitError:
        return
    for origin, setting in zip(fields[::2], fields[1::2], strict=False):
        place = os.fsdecode(origin)
        if place.startswith("file:"):
            key, _, value = os.fsdecode(setting).partition("\n")
            yield place.removeprefix("file:"), key, value


def _programs(root: Path, origin: Path, key: str, value: str) -> Iterator[Path]:
    """Files that a setting names, which stands in the file ``origin``."""
    if key.startswith("include") and key.endswith(".path"):
        yield origin.parent / Path(value).expanduser()  # also one that is empty, or not there yet
        return
    if key == _HOOKS_PATH:
        folder = root / Path(value).expanduser()
        yield folder
        yield from _links_in(folder)
        return
    if key.startswith(_NAMES) or key in _READ_ONLY_USES:
        return
    try:
        words = shlex.split(value.removeprefix("!"))
    except ValueError:
        words = value.split()
    for word in words:
        if ("/" in word or "." in word) and (root / word).is_file():
            yield root / word


def _links_in(folder: Path) -> Iterator[Path]:
    """Hooks are often links to scripts of the repository."""
    try:
        yield from (each for each in folder.iterdir() if each.is_symlink())
    except OSError:
        return


def _facts(path: Path) -> tuple[int, ...] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns)
