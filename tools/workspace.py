"""The workspace: the folder that file tools may touch, and what the model has read in it.

It decides no permissions; it refuses what leaves the folder.
"""

from __future__ import annotations

from pathlib import Path


class Workspace:
    """Root folder plus the record of files as the model last saw them."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
