"""What a start needs to know before any model is loaded: the settings, the folder, what is remembered.

It loads nothing and asks nobody.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from agent.config import (
    Config,
    Source,
    environment_source,
    file_source,
    flag_source,
    read_config,
    tightening,
    user_sources,
)
from agent.context import project_root
from agent.errors import ConfigError
from agent.paths import config_file, state_dir
from agent.permissions import Rules
from agent.remembered import Remembered
from agent.retention import Retention
from agent.trust import own_settings
from tools.git_programs import RunByGit

_FLAGS = (
    "model",
    "mode",
    "context",
    "max_turns",
    "max_tokens",
    "max_seconds",
    "seed",
    "offline",
    "sandbox",
    "kv_type",
    "drafter",
    "in_process",
)


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
        """What the user settled: in the configuration, and with "always" in this repository.

        Files that git would run are asked about in every mode.
        """
        kept = Remembered(self.state).allowed(self.root)
        config = self.config
        run = (escape(path.relative_to(self.root).as_posix()) for path in RunByGit(self.root).now())
        ask = (*config.ask, *(f"tool:{name} {path}" for path in run for name in ("edit", "write")))
        return Rules(allow=(*config.allow, *kept), ask=ask, deny=config.deny, network=config.network)


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
    own = () if bare or trusted else own_settings(root)
    flags = {key: getattr(args, key, None) for key in _FLAGS}
    sources = [
        *user_sources(config_file(environment), root if trusted else None),
        environment_source(environment),
        flag_source(flags),
        *_tightening(root, own),  # last: it is stronger than everything
    ]
    notices = (_untrusted(own, remembered.trusted_before(root)),) if own else ()
    return Setup(read_config(sources), cwd, root, state, bare, notices)


def _tightening(root: Path, names: Sequence[str]) -> list[Source]:
    """What a repository that is not trusted may settle; what cannot be read settles nothing."""
    sources: list[Source] = []
    for name in names:
        with suppress(ConfigError):
            source = tightening(file_source(root / name))
            read_config([source])
            sources.append(source)
    return sources


def _untrusted(names: Sequence[str], before: bool) -> str:
    why = "has changed since it was trusted" if before else "is not trusted"
    return (
        f"{' and '.join(names)} not read, except for what it asks about and forbids: this repository {why}"
        " (--trust lets its settings count)."
    )
