"""Where this program keeps things: configuration and state, as the XDG base directories say.

It creates nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_NAME = "gemma-agent"


def state_dir(environment: Mapping[str, str] | None = None) -> Path:
    """Sessions, journal, trust, logs: ``$XDG_STATE_HOME/gemma-agent``, else ``~/.local/state/gemma-agent``."""
    return _base(environment, "XDG_STATE_HOME", ".local/state") / _NAME


def config_file(environment: Mapping[str, str] | None = None) -> Path:
    """The user's settings: ``$XDG_CONFIG_HOME/gemma-agent/config.toml``, else below ``~/.config``."""
    return _base(environment, "XDG_CONFIG_HOME", ".config") / _NAME / "config.toml"


def _base(environment: Mapping[str, str] | None, variable: str, fallback: str) -> Path:
    """The specification says: a relative path in the variable is to be ignored."""
    environment = os.environ if environment is None else environment
    given = Path(environment.get(variable, ""))
    return given if given.is_absolute() else Path(environment.get("HOME") or Path.home()) / fallback
