"""The record of what became of one file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file as it was and as it is; None where it did not or does not exist. ``path`` is relative to the workspace.

    ``mode_before`` and ``mode_after`` are permission bits, where they are known. ``made`` is the topmost folder that
    was made for a new file (or went with a deleted one), relative to the workspace, or empty.
    """

    path: str
    before: bytes | None
    after: bytes | None
    mode_before: int | None = None
    mode_after: int | None = None
    made: str = ""
