"""The workspace: the folder that file tools may touch, and what the model has read in it.

It decides no permissions; it refuses what leaves the folder and what nobody should write or read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tools import beneath
from tools.atomic import Changed, remove_entry, remove_leftovers, write_entry
from tools.errors import ToolError
from tools.protected import is_read_only, is_secret

MAX_FILE_BYTES = 10_000_000


class Workspace:
    """Root folder plus the record of files as the model last saw them.

    Paths that come from the model go through ``locate`` first; all other methods take what it returned. Every
    refusal is a ToolError that says what to do instead.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._seen: dict[str, str] = {}  # relative path -> sha256 of the content that the model last saw
        self._pointed: tuple[str, int, str] | None = None

    def locate(self, path: str, write: bool = False) -> str:
        """The real path, relative to the root, of a path as the model wrote it; ``.`` for the root itself.

        Absolute paths inside the root and symbolic links that stay inside are followed. Nothing needs to exist.
        """
        self._check_form(path)
        joined = os.path.join(self.root, path)  # noqa: PTH118 - keeps ".." for realpath, which knows the links
        try:
            real = os.path.realpath(joined)
        except (OSError, ValueError) as error:
            raise ToolError(f"{_shown(path)} is not a usable path ({error}); list a folder with read.") from error
        if not Path(real).is_relative_to(self.root):
            raise ToolError(self._outside(path))
        relative = Path(real).relative_to(self.root).as_posix()
        given = os.path.normpath(joined)
        lexical = Path(given).relative_to(self.root).parts if Path(given).is_relative_to(self.root) else ()
        for parts in (Path(relative).parts, lexical):
            self._check_names(path, parts, write)
        return relative

    def read(self, relative: str) -> beneath.Found:
        """The content and mode of a regular file. Raises FileNotFoundError (to suggest names), else ToolError."""
        parts = Path(relative).parts
        if not parts:
            raise ToolError("The path is the workspace folder itself; name a file in it.")
        try:
            with beneath.open_folder(self.root, parts[:-1]) as folder:
                return beneath.read_entry(folder, parts[-1], MAX_FILE_BYTES)
        except FileNotFoundError:
            raise
        except beneath.TooLarge as error:
            raise ToolError(
                f"{relative} is larger than {MAX_FILE_BYTES // 1_000_000} MB; search it with grep."
            ) from error
        except beneath.NotRegular as error:
            if (self.root / relative).is_dir():
                raise ToolError(f"{relative} is a folder; name a file in it (read lists a folder).") from error
            raise ToolError(f"{relative} is not a regular file; choose another one.") from error
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ENAMETOOLONG}:
                raise FileNotFoundError(relative) from error
            raise ToolError(f"{relative} cannot be read ({error.strerror}); choose another file.") from error

    def require_writable(self, relative: str, found: beneath.Found) -> None:
        """Raise ToolError for an existing file that is write-protected or has a second name, perhaps outside."""
        if not found.mode & 0o222:
            raise ToolError(f"{relative} is write-protected; leave it, or ask the user.")
        if found.links > 1:
            raise ToolError(
                f"{relative} has {found.links} hard links, and another name may be outside the workspace; "
                f"make it a file of its own first: cp -p {relative} {relative}.own && mv {relative}.own {relative}"
            )

    def write(self, relative: str, content: bytes, before: bytes | None, mode: int | None = None) -> None:
        """Replace the file atomically; ``before`` is its content as it must be now, None for a new file.

        Parents of a new file are made, and it gets the permission bits ``mode`` where given. The new content counts
        as seen by the model.
        """
        with self._entry(relative, create=before is None) as (folder, name):
            write_entry(folder, name, content, before, mode)
        self.mark_seen(relative, content)

    def remove(self, relative: str, before: bytes, made: str = "") -> None:
        """Delete a file that holds ``before``, and then the empty folders above it up to ``made`` (empty: none)."""
        with self._entry(relative) as (folder, name):
            remove_entry(folder, name, before)
        self.forget(relative)
        above = Path(relative).parent
        while made and above.is_relative_to(made):
            with contextlib.suppress(OSError), beneath.open_folder(self.root, above.parts[:-1]) as folder:
                os.rmdir(above.name, dir_fd=folder)  # fails where something else is in it
            above = above.parent

    def set_mode(self, relative: str, mode: int) -> None:
        """Give a file these permission bits."""
        with self._entry(relative) as (folder, name):
            beneath.set_mode(folder, name, mode)

    def remove_leftovers(self, relative: str) -> None:
        """Delete the temporary files that a killed process left beside a file."""
        with contextlib.suppress(OSError), beneath.open_folder(self.root, Path(relative).parts[:-1]) as folder:
            remove_leftovers(folder)

    def missing_folder(self, relative: str) -> str:
        """The topmost folder that a new file needs and that does not exist; empty when there is none."""
        above = [parent for parent in Path(relative).parents if parent.parts]
        missing = [parent for parent in above if not os.path.lexists(self.root / parent)]
        return missing[-1].as_posix() if missing else ""

    def seen(self, path: str) -> str | None:
        """The sha256 (hex) of the content that the model last saw of a file; None when it did not read it."""
        return self._seen.get(path)

    def mark_seen(self, path: str, content: bytes) -> None:
        """Record that the model knows this content of ``path`` (relative to the root, as ``locate`` returns it)."""
        self._seen[path] = hashlib.sha256(content).hexdigest()

    def point_at(self, place: tuple[str, int, str] | None) -> None:
        """Where a quotation fits several places, that in this line is meant: path, number from 1, and the text that it
        must have. None: no line is preferred."""
        self._pointed = place

    def pointed(self, path: str, text: str) -> range:
        """The offsets in a file's present text that are preferred; empty where none are."""
        if self._pointed is None or self._pointed[0] != path:
            return range(0)
        _, line, wanted = self._pointed
        lines = text.split("\n")
        start = sum(len(each) + 1 for each in lines[: line - 1])
        return range(start, start + len(wanted)) if lines[line - 1 : line] == [wanted] else range(0)

    def is_current(self, path: str, content: bytes) -> bool:
        """Whether ``content`` is what the model last saw of ``path``."""
        return self._seen.get(path) == hashlib.sha256(content).hexdigest()

    def forget(self, path: str) -> None:
        """The model's knowledge of a file is void (a rewind took it away)."""
        self._seen.pop(path, None)

    @contextmanager
    def _entry(self, relative: str, create: bool = False) -> Generator[tuple[int, str]]:
        """The open folder of a file, and its name; what goes wrong inside becomes a ToolError."""
        *folders, name = Path(relative).parts
        try:
            with beneath.open_folder(self.root, folders, create=create) as folder:
                yield folder, name
        except Changed as error:
            raise ToolError(
                f"{relative} changed on disk in this moment; nothing was written. Read it again."
            ) from error
        except OSError as error:
            raise ToolError(
                f"{relative} could not be written ({error.strerror}); it is as before. Tell the user about it."
            ) from error

    def _check_form(self, path: str) -> None:
        if not path.strip():
            raise ToolError("The path is empty; give a path relative to the workspace.")
        if (
            "\0" in path
            or len(path) > 4000
            or any(len(part.encode("utf-8", "replace")) > 255 for part in path.split("/"))
        ):
            raise ToolError(f"{_shown(path)} is not a possible path; list a folder with read to see the real ones.")
        try:
            os.fsencode(path)
        except UnicodeEncodeError as error:
            raise ToolError(
                f"{_shown(path)} is not valid text; list a folder with read to see the real paths."
            ) from error
        if path.startswith("~"):
            raise ToolError(f"{path} is outside the workspace; use a path relative to it.")
        if path.startswith(("/proc/", "/sys/", "/dev/")) and not self.root.is_relative_to("/" + path.split("/")[1]):
            raise ToolError(f"{path} is outside the workspace; use a path relative to it.")

    def _check_names(self, path: str, parts: tuple[str, ...], write: bool) -> None:
        if is_secret(parts):
            raise ToolError(f"{path} may hold keys or passwords and is blocked; work without it or ask the user.")
        if write and is_read_only(parts):
            raise ToolError(f"{path} belongs to git or to the agent's configuration and is read-only; leave it.")

    def _outside(self, path: str) -> str:
        text = f"{path} is outside the workspace; use a path relative to it"
        stripped = path.lstrip("/")
        return (
            f"{text}: {stripped}"
            if stripped and (self.root / stripped).is_file()
            else f"{text}, or list a folder with read."
        )


def _shown(path: str) -> str:
    return ascii(path if len(path) <= 80 else path[:80] + "...")
