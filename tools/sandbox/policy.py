"""What one command may touch: the policy that each kind of sandbox turns into its own terms.

It enforces nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tools.limits import Limits


class Tier(StrEnum):
    """The means that confines commands, best first."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    SEATBELT = "seatbelt"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """All paths are absolute and real.

    ``writable`` are folders that exist. ``read_only`` and ``masks`` (file -> file shown in its place) count within
    them. ``hidden`` files and folders are empty or not there. ``visible`` must be readable although they lie in a
    place that is hidden or replaced: interpreters. ``temporary`` stands for /tmp. ``shared`` is writable, too: /dev/shm
    where it cannot be replaced.
    """

    folder: Path
    workspace: Path
    temporary: Path
    writable: tuple[Path, ...]
    read_only: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    masks: tuple[tuple[Path, Path], ...] = ()
    visible: tuple[Path, ...] = ()
    shared: tuple[Path, ...] = ()
    network: bool = False
    limits: Limits = field(default_factory=Limits)


# Each tool's own variable, and not XDG_CACHE_HOME: programs may need to read what lies in ~/.cache.
_CACHE_VARIABLES = {
    "PIP_CACHE_DIR": "pip", "npm_config_cache": "npm", "UV_CACHE_DIR": "uv", "YARN_CACHE_FOLDER": "yarn",
    "GOCACHE": "go-build", "CCACHE_DIR": "ccache", "POETRY_CACHE_DIR": "poetry", "PRE_COMMIT_HOME": "pre-commit",
    "NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib", "COREPACK_HOME": "corepack", "DENO_DIR": "deno",
    "BUN_INSTALL_CACHE_DIR": "bun", "JUPYTER_RUNTIME_DIR": "jupyter", "NUGET_PACKAGES": "nuget",
    "npm_config_devdir": "node-gyp", "HYPOTHESIS_STORAGE_DIRECTORY": "hypothesis",
}  # fmt: skip


PROGRAM_VARIABLES = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "NODE_PATH", "LD_LIBRARY_PATH")


def cache_environment(caches: Path) -> dict[str, str]:
    """Variables that lead tools' caches into a private folder: the user's own are read-only to commands."""
    return {name: str(caches / folder) for name, folder in _CACHE_VARIABLES.items()}


def program_folders(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Folders that hold this interpreter, and programs and libraries that the command's environment names."""
    found = [Path(os.path.abspath(sys.prefix)), Path(sys.base_prefix)]  # noqa: PTH100 - a link to a venv is meant as it is
    for name in PROGRAM_VARIABLES:
        for entry in environment.get(name, "").split(":"):
            folder = Path(entry)
            if folder.is_absolute() and os.path.isdir(folder) and len(folder.parts) > 2:  # noqa: PTH112 - or unreadable
                found.append(folder.parent if folder.name == "bin" and len(folder.parts) > 3 else folder)
    return tuple(dict.fromkeys(found))


def inside_any(path: Path, folders: Iterable[Path]) -> bool:
    """Whether ``path`` is one of the folders or below one."""
    text = str(path)
    return any(is_within(text, str(each)) for each in folders)


def is_within(path: str, folder: str) -> bool:
    """Whether a path is a folder or below it; much quicker than pathlib, and asked hundreds of times a command."""
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")
