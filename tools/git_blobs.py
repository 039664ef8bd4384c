"""Contents of many blobs of a repository in two calls of git, however many they are.

It knows nothing of paths and changes.
"""

from __future__ import annotations

from collections.abc import Iterable

from tools.git import Git

_MOST_BYTES = 64_000_000  # in memory together; a change with more text than that is not read by anybody


class UnreadableError(Exception):
    """A content is not looked at; the message says why, of a file ("it is ...")."""


class Blobs:
    """The blobs with these ids; raises GitError where git cannot read them."""

    def __init__(self, git: Git, ids: Iterable[str], max_bytes: int) -> None:
        wanted = sorted(ids)
        self._sizes: dict[str, int] = {}
        self._contents: dict[str, bytes] = {}
        if not wanted:
            return
        for line in git.read("cat-file", "--batch-check", text=_lines(wanted)).decode().splitlines():
            blob, kind, *size = line.split()
            if kind == "blob":
                self._sizes[blob] = int(size[0])
        left = _MOST_BYTES
        small: list[str] = []
        for blob, size in self._sizes.items():
            if size <= min(max_bytes, left):
                small.append(blob)
                left -= size
        self._take(git.read("cat-file", "--batch", text=_lines(small)) if small else b"")

    def content(self, blob: str) -> bytes:
        """A blob's bytes; raises UnreadableError."""
        if blob not in self._sizes:
            raise UnreadableError("its content is not in this repository")
        if blob not in self._contents:
            raise UnreadableError(f"it is too large ({self._sizes[blob]} bytes)")
        return self._contents[blob]

    def _take(self, out: bytes) -> None:
        """``<id> blob <size>``, a line end, the content, a line end; for each."""
        at = 0
        while at < len(out):
            end = out.index(b"\n", at)
            blob, _, size = out[at:end].decode().split()
            self._contents[blob] = out[end + 1 : end + 1 + int(size)]
            at = end + 1 + int(size) + 1


def _lines(ids: Iterable[str]) -> bytes:
    return "".join(f"{each}\n" for each in ids).encode()
