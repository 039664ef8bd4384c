"""An agent that is killed leaves no process, whatever its commands were doing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.confined import TIERS, folder_at_home, tier_here
from tools.sandbox.policy import Tier

ROOT = Path(__file__).parents[3]
AGENT = """
import asyncio, os, sys
from pathlib import Path
from tools.commands import Access
from tools.launch import shell_line
from tools.sandbox.planning import User
from tools.sandbox.policy import Tier
from tools.sandbox.probe import find_tier
from tools.sandbox.sandbox import Sandbox

async def main():
    tier, folder, marker, count = Tier(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    sandbox = Sandbox(find_tier(tier), folder, User(Path.home()))
    line = shell_line(f"(setsid nohup sleep {marker} >/dev/null 2>&1 &); trap '' TERM; sleep {marker}", folder,
                      {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]})
    print("ready", flush=True)
    kept = []
    for _ in range(count):
        kept.append(await sandbox.start(line, Access()))
    print("all", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


def running(marker: str) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in command and b"python" not in command.split(b"\0")[0]:
                found.append(int(entry.name))
    return found


def below(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    pending = [pid]
    while pending:
        inner = children.get(pending.pop(), [])
        found += inner
        pending += inner
    return found


def kill_agent(tier: Tier, folder: Path, marker: str, count: int, after: float | None) -> list[int]:
    """Start an agent with ``count`` commands and kill it ``after`` seconds, or when all have been started.

    Which processes it had started by then, whatever they are.
    """
    command = [sys.executable, "-c", AGENT, tier.value, str(folder), marker, str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        try:
            assert agent.stdout.readline() == b"ready\n"
            if after is None:
                assert agent.stdout.readline() == b"all\n"
                assert all_run_within(10, marker, count)
            else:
                time.sleep(after)
            return below(agent.pid)
        finally:
            agent.kill()


def all_run_within(seconds: float, marker: str, count: int) -> bool:
    """A command that was started is a shell at first, which then starts what bears the marker."""
    deadline = time.monotonic() + seconds
    while len(running(marker)) < count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pids: list[int]) -> list[int]:
    """Those of them that have not ended."""
    found: list[int] = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z":
                found.append(pid)
    return found


def gone_within(seconds: float, marker: str, pids: list[int]) -> bool:
    deadline = time.monotonic() + seconds
    while running(marker) or alive(pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("tier", TIERS)
def test_commands_end_with_the_agent(tier: Tier) -> None:
    if tier_here(tier).tier is not tier:
        pytest.skip(f"no {tier} here")
    with folder_at_home() as folder:
        started = kill_agent(tier, folder, "161803.1", 3, None)
        assert len(started) > 3
        assert gone_within(20, "161803.1", started)


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
def test_commands_end_with_an_agent_that_is_killed_while_it_starts_them(tier: Tier) -> None:
    if tier_here(tier).tier is not tier:
        pytest.skip(f"no {tier} here")
    with folder_at_home() as folder:
        for moment in range(20):
            started = kill_agent(tier, folder, f"161803.{moment + 2}", 5, moment / 200)
            assert gone_within(20, f"161803.{moment + 2}", started)
