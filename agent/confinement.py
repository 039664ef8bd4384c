"""Decides how commands of this program are confined: by the best tier that works, or as the user wants it.

The sandbox itself is ``tools.sandbox``; whether a command may run is decided in ``agent.permissions``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.command_environment import network_environment
from agent.paths import config_file, state_dir
from tools.commands import CommandRunner, Unconfined
from tools.sandbox.planning import User
from tools.sandbox.policy import Tier
from tools.sandbox.probe import find_tier
from tools.sandbox.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Commands:
    """Who runs commands. ``unconfined`` is why they cannot be confined (then each is asked about), else empty."""

    runner: CommandRunner
    unconfined: str
    close: Callable[[], None]


def open_commands(wanted: str, workspace: Path, environment: Mapping[str, str] | None = None) -> Commands:
    """The runner for a workspace; ``wanted`` is the setting ``sandbox``. The caller closes it."""
    environment = os.environ if environment is None else environment
    if wanted == "off":
        return Commands(Unconfined(), "", _nothing)
    found = find_tier(None if wanted == "auto" else Tier(wanted))
    if found.tier is Tier.NONE:
        return Commands(Unconfined(), f"{found.sentence()} {OR_WITHOUT}", _nothing)
    home = Path(environment.get("HOME") or Path.home())
    own = (config_file(environment).parent, state_dir(environment))
    sandbox = Sandbox(found, workspace, User(home, own), network_environment(environment))
    return Commands(sandbox, "", sandbox.close)


OR_WITHOUT = "(--no-sandbox runs them with all your rights)"


def _nothing() -> None:
    """Nothing is to be closed."""
