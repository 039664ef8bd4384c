"""Protected files as they were before a command, and their restoration should the command have changed them.

Where mounts protect them this finds nothing to do; where Landlock alone confines commands, this is their protection.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tools.beneath import open_folder

_MAX_FILE = 4_000_000
_MAX_ENTRIES = 2_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file with its content, a symbolic link with its target, or a folder; ``mode`` are the permission bits."""

    kind: str  # file, link, folder
    content: bytes
    mode: int
    modified: int = field(default=0, compare=False)  # nanoseconds


Image = dict[str, _Entry]  # path relative to the protected one ("" is itself) -> what is there


class Guard:
    """The protected paths below one root as they were when it was made; ``root`` itself is never replaced."""

    def __init__(self, root: Path, before: dict[Path, Image]) -> None:
        self._root = root
        self._before = before

    @classmethod
    def of(cls, root: Path, paths: Iterable[Path]) -> Guard:
        """What is there now of the paths below ``root``."""
        return cls(root, {path: _image(path) for path in paths if path.is_relative_to(root) and path != root})

    def dump(self) -> tuple[str, dict[str, dict[str, tuple[str, bytes, int, int]]]]:
        """Itself as plain values, for ``load``."""
        images = {
            str(path): {name: (each.kind, each.content, each.mode, each.modified) for name, each in image.items()}
            for path, image in self._before.items()
        }
        return str(self._root), images

    @classmethod
    def load(cls, root: str, images: dict[str, dict[str, tuple[str, bytes, int, int]]]) -> Guard:
        """What ``dump`` gave."""
        before = {Path(path): {name: _Entry(*each) for name, each in image.items()} for path, image in images.items()}
        return cls(Path(root), before)

    def restore(self, keep: Path, unless: Callable[[Path], bool] = lambda _: False) -> list[str]:
        """Put back what changed, ``unless`` that is nothing to look at; what was found instead is moved into the folder
        ``keep``. The changed paths.
        """
        changed: list[str] = []
        for path, before in self._before.items():
            if unless(path) or _image(path) == before:
                continue
            changed.append(path.relative_to(self._root).as_posix())
            with contextlib.suppress(OSError):
                self._put_back(path, before, keep)
        return changed

    def _put_back(self, path: Path, before: Image, keep: Path) -> None:
        """By descriptors from the root on, so that a link put in a folder's place leads nowhere."""
        parts = path.relative_to(self._root).parts
        self._clear_way(parts[:-1], keep)
        with open_folder(self._root, parts[:-1], create=bool(before)) as folder:
            set_aside(folder, parts[-1], keep)
            for name, entry in before.items():
                _make(folder, (parts[-1], *Path(name).parts), entry)

    def _clear_way(self, folders: tuple[str, ...], keep: Path) -> None:
        """Whatever stands where a folder was is moved away."""
        for depth, name in enumerate(folders):
            with open_folder(self._root, folders[:depth]) as folder:
                with contextlib.suppress(FileNotFoundError):
                    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if not stat.S_ISDIR(facts.st_mode):
                        set_aside(folder, name, keep)
                        os.mkdir(name, dir_fd=folder)
                        continue
                if not _exists(folder, name):
                    return


def set_aside(folder: int, name: str, keep: Path) -> None:
    """Move an entry of an open folder into ``keep`` (another file system: delete it); nothing when it is not there."""
    target = keep / f"{name}.{secrets.token_hex(3)}"
    keep.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        os.rename(name, target, src_dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError:
        _delete(folder, name)


def _delete(folder: int, name: str) -> None:
    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _image(path: Path) -> Image:
    """Everything at and below a path; what is too large to keep is known by its stamp only."""
    found: Image = {}
    pending = [path]
    while pending and len(found) < _MAX_ENTRIES:
        each = pending.pop()
        try:
            facts = each.lstat()
            entry = _entry(each, facts)
            inside = sorted(each.iterdir(), reverse=True) if entry.kind == "folder" else []
        except OSError:
            continue
        name = each.relative_to(path).as_posix()
        found["" if name == "." else name] = entry
        pending += inside
    return found


def _entry(path: Path, facts: os.stat_result) -> _Entry:
    mode = stat.S_IMODE(facts.st_mode)
    if stat.S_ISLNK(facts.st_mode):
        return _Entry("link", os.fsencode(path.readlink()), 0)
    if stat.S_ISDIR(facts.st_mode):
        return _Entry("folder", b"", mode)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MAX_FILE:
        return _Entry("other", f"{facts.st_ino} {facts.st_size} {facts.st_ctime_ns}".encode(), mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return _Entry("file", file.read(), mode, facts.st_mtime_ns)


def _make(folder: int, parts: tuple[str, ...], entry: _Entry) -> None:
    """Create an entry at ``parts`` below an open folder whose inner folders were made by us just now."""
    name = "/".join(parts)
    if entry.kind == "folder":
        os.mkdir(name, dir_fd=folder)
        os.chmod(name, entry.mode | 0o700, dir_fd=folder)
    elif entry.kind == "link":
        os.symlink(os.fsdecode(entry.content), name, dir_fd=folder)
    elif entry.kind == "file":
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(entry.content)
            file.flush()
            os.fchmod(file.fileno(), entry.mode)
            os.utime(file.fileno(), ns=(entry.modified, entry.modified))
