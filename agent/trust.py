"""What a repository's own settings would turn on, to be shown before anybody trusts it.

It remembers nothing (``agent.remembered`` does) and obeys nothing of what it reads.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from agent.config import PROJECT_FILE, PROJECT_LOCAL_FILE, file_source, read_settings_file
from agent.errors import ConfigError

_MEANING = {
    "allow": "commands and tools that run without a question",
    "network": "commands that may use the network",
    "mode": "what runs without a question",
    "sandbox": "how commands are confined",
    "ask": "what is asked about; holds already",
    "deny": "what is refused; holds already",
    "model": "which model is loaded",
}


def own_settings(root: Path) -> tuple[str, ...]:
    """The settings files that a repository brings along, relative to it."""
    return tuple(name for name in (PROJECT_FILE, PROJECT_LOCAL_FILE) if (root / name).exists())


def settings_digest(root: Path) -> str:
    """Stands for the content of those files: trust is in what was seen, not in what they become."""
    return hashlib.sha256(b"\0".join(_content(root / name) for name in own_settings(root))).hexdigest()


def what_trust_turns_on(root: Path) -> tuple[str, ...]:
    """A line for each setting that would count, as it is written; it may hold anything and has to be cleaned."""
    lines: list[str] = []
    for name in own_settings(root):
        try:
            values = file_source(root / name).values
        except ConfigError as error:
            lines.append(str(error))
            continue
        for key, value in values.items():
            meaning = f"  ({_MEANING[key]})" if key in _MEANING else ""
            lines.append(f"{name}: {key} = {json.dumps(value, ensure_ascii=False, default=str)}{meaning}")
    return tuple(lines)


def _content(path: Path) -> bytes:
    try:
        return read_settings_file(path)
    except OSError as error:
        return str(error.errno).encode()
