"""The FileChanged event of a change: its unified diff and counts.

It reads and writes no files.
"""

from __future__ import annotations

from agent.events import FileChanged
from tools.base import FileChange
from tools.diff import unified_diff


def file_changed(change: FileChange) -> FileChanged:
    """What people are told of a change; of binary content only that it differs."""
    diff = unified_diff(change.path, change.before, change.after)
    body = diff.splitlines()[2:]
    added = sum(line.startswith("+") for line in body)
    return FileChanged(change.path, diff, added, sum(line.startswith("-") for line in body))
