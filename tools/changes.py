"""The record of what became of one file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file as it was and as it is; None where it did not or does not exist. ``path`` is relative to the workspace."""

    path: str
    before: bytes | None
    after: bytes | None
