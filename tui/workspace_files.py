"""The files that ``@`` completes: those of the workspace that are not ignored, looked up in a thread now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tools.files import list_files
from tools.protected import is_secret
from tui.completion import mentioned

if TYPE_CHECKING:
    from textual.app import App

_FRESH_SECONDS = 5.0


class WorkspaceFiles:
    """Names relative to ``root``, sorted; empty until the first look is done."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._looked = float("-inf")
        self.names: list[str] = []

    def refresh(self, app: App[int], then: Callable[[], None]) -> None:
        """Look again when the last look is old; ``then`` is called when something came of it."""
        if time.monotonic() - self._looked < _FRESH_SECONDS:
            return
        self._looked = time.monotonic()

        def look() -> None:
            names = self._list()
            if names != self.names:
                self.names = names
                app.call_from_thread(then)

        app.run_worker(look, thread=True, group="files")

    def mentioned(self, text: str) -> list[str]:
        """The files that a message names with ``@``."""
        if "@" not in text:
            return []
        return mentioned(text, self.names or self._list())

    def _list(self) -> list[str]:
        return [name for name in list_files(self._root) if not is_secret(name.split("/"))]
