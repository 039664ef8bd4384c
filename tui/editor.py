"""The user's own editor on a temporary file, while the screen steps back."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

if TYPE_CHECKING:
    from textual.app import App


def editor_command() -> list[str]:
    """``$VISUAL``, ``$EDITOR``, else vi."""
    return shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")


def edit_text(app: App[int], text: str) -> tuple[str | None, str]:
    """What the user made of the text (None: nothing), and a sentence when that did not work."""
    with tempfile.TemporaryDirectory(prefix="agent-prompt-") as folder:
        path = Path(folder) / "prompt.md"
        path.write_text(text, encoding="utf-8")
        command = editor_command()
        try:
            with app.suspend():
                done = subprocess.run([*command, str(path)], check=False)
        except SuspendNotSupported:
            return None, "The screen cannot step back here, so no editor can run."
        except OSError as error:
            return None, f"The editor {command[0]} cannot be started ({error.strerror}); set $EDITOR."
        if done.returncode != 0:
            return None, f"The editor ended with code {done.returncode}; the prompt stays as it was."
        return path.read_text(encoding="utf-8", errors="replace").rstrip("\n"), ""
