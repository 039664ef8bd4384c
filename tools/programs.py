"""Where the programs are that we run ourselves, outside of any sandbox: found on PATH, never in the workspace.

What commands run is looked up by their shell, where they are confined.
"""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path


def find_program(name: str, folder: Path, path: str | None = None) -> str | None:
    """The absolute path of a program on PATH (or ``path``) for work in ``folder``; None when there is none.

    Passed over is what lies in ``folder`` or in the repository around it, directly or by a link, and what PATH names
    relative to wherever one happens to be: a command, or whoever wrote the repository, could have put it there.
    """
    path = os.environ.get("PATH", os.defpath) if path is None else path
    return _find(name, path, Path(os.path.abspath(folder)))  # noqa: PTH100 - links count


@functools.lru_cache(maxsize=64)
def _find(name: str, path: str, folder: Path) -> str | None:
    around = next((each for each in (folder, *folder.parents) if os.path.lexists(each / ".git")), folder)
    closed = (around, Path(os.path.realpath(around)))
    for place in path.split(os.pathsep):
        found = shutil.which(name, path=place) if Path(place).is_absolute() else None
        if found is None:
            continue
        lexical, real = Path(os.path.normpath(found)), Path(os.path.realpath(found))
        if not any(each.is_relative_to(outer) for each in (lexical, real) for outer in closed):
            return found
    return None
