"""A repository outside /tmp with commands that run in a sandbox of a given tier."""

from __future__ import annotations

import asyncio
import functools
import os
import pwd
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.command_environment import command_environment
from tools.commands import Access, Outcome
from tools.launch import shell_line
from tools.sandbox.planning import User
from tools.sandbox.policy import Tier
from tools.sandbox.probe import Found, find_tier
from tools.sandbox.sandbox import Sandbox

TIERS = (Tier.BUBBLEWRAP, Tier.LANDLOCK)


@functools.cache
def tier_here(tier: Tier) -> Found:
    """What the probe says; the test is skipped where the tier does not work."""
    return find_tier(tier)


@contextmanager
def folder_at_home() -> Generator[Path]:
    """An empty folder below the home folder, because commands do not see /tmp as it is."""
    # HOME may be set to a folder in /tmp; the home folder of the account seldom is.
    homes = (Path.home(), Path(pwd.getpwuid(os.getuid()).pw_dir))
    home = next((each for each in homes if not each.resolve().is_relative_to("/tmp")), None)
    if home is None:
        pytest.skip("the home folder is in /tmp, which commands do not see as it is")
    place = home / ".cache"
    if not os.access(place if place.exists() else home, os.W_OK):
        pytest.skip(f"{home} cannot be written")
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix="gemma-test-") as name:
        yield Path(name).resolve()


class Confined:
    """``run`` runs a command and returns what it came to."""

    def __init__(self, tier: Tier, workspace: Path) -> None:
        found = tier_here(tier)
        if found.tier is not tier:
            pytest.skip(f"no {tier} here: {found.shortfall}")
        self.workspace = workspace
        self.sandbox = Sandbox(found, workspace, User(Path.home()))

    def run(self, command: str, access: Access | None = None, seconds: float = 120) -> Outcome:
        async def go() -> Outcome:
            line = shell_line(command, self.workspace, command_environment(os.environ))
            running = await self.sandbox.start(line, access or Access())
            return await running.finish(seconds)

        return asyncio.run(go())

    def succeeds(self, command: str, access: Access | None = None) -> Outcome:
        outcome = self.run(command, access)
        assert outcome.completed.code == 0, outcome.completed.output
        return outcome


def git(folder: Path, *arguments: str) -> str:
    """Git as a user runs it."""
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout
