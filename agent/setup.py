"""What a start needs to know before any model is loaded: the settings, the folder, what is remembered.

It loads nothing and asks nobody.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.config import (
    PROJECT_FILE,
    PROJECT_LOCAL_FILE,
    Config,
    environment_source,
    flag_source,
    read_config,
    user_sources,
)
from agent.context import project_root
from agent.paths import config_file, state_dir
from agent.permissions import Rules
from agent.remembered import Remembered
from agent.retention import Retention

_FLAGS = ("model", "mode", "context", "max_turns", "max_tokens", "max_seconds", "seed", "offline", "sandbox")


@dataclass(frozen=True, slots=True)
class Setup:
    """``root`` is the repository's top folder (``cwd`` outside of any) and what tools work in.

    ``bare`` leaves out the repository's instructions and settings. ``notices`` are sentences for the user.
    """

    config: Config
    cwd: Path
    root: Path
    state: Path
    bare: bool = False
    notices: tuple[str, ...] = ()

    @property
    def retention(self) -> Retention:
        """How long, and how much of it, what was said is kept."""
        megabytes = self.config.keep_megabytes
        return Retention(self.config.keep_days, None if megabytes is None else megabytes * 1_000_000)

    @property
    def rules(self) -> Rules:
        """What the user settled: in the configuration, and with "always" in this repository."""
        kept = Remembered(self.state).allowed(self.root)
        return Rules(allow=(*self.config.allow, *kept), deny=self.config.deny, network=self.config.network)


def read_setup(args: Namespace, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Setup:
    """Settings from the command line (attributes that it lacks were not given), environment and files.

    Raises ConfigError. ``--trust`` is remembered for the repository.
    """
    environment = os.environ if environment is None else environment
    cwd = (cwd or Path.cwd()).resolve()
    root = project_root(cwd).resolve()
    state = state_dir(environment)
    bare = bool(getattr(args, "bare", False))
    remembered = Remembered(state)
    if getattr(args, "trust", False):
        remembered.trust(root)
    trusted = not bare and remembered.is_trusted(root)
    notices: tuple[str, ...] = ()
    untrusted = [name for name in (PROJECT_FILE, PROJECT_LOCAL_FILE) if (root / name).exists()]
    if untrusted and not trusted and not bare:
        notices = (f"{' and '.join(untrusted)} not read: this repository is not trusted (--trust changes that).",)
    flags = {key: getattr(args, key, None) for key in _FLAGS}
    sources = [
        *user_sources(config_file(environment), root if trusted else None),
        environment_source(environment),
        flag_source(flags),
    ]
    return Setup(read_config(sources), cwd, root, state, bare, notices)
