"""Claims: a confined command costs at most 15 ms more than one started bare; kill -9 of the agent leaves no process.

Each tier is compared with the same shell started by asyncio alone, in turns, in a repository of 300 files. It says
nothing about what the sandbox keeps out: ``bench.attacks`` does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from agent.command_environment import command_environment
from bench.claims import report
from tests.fakes.confined import TIERS, folder_at_home, git
from tests.tools.sandbox.test_orphans import alive, kill_agent, running
from tools.commands import Access
from tools.launch import CommandLine, shell_line
from tools.sandbox.planning import User
from tools.sandbox.policy import Tier
from tools.sandbox.probe import Found, find_tier
from tools.sandbox.sandbox import Sandbox

FILES = 300
BAR_MS = 15.0
PAUSE_S = 0.05  # what is done after one command must not be counted for the next, nor left out: a model needs seconds


def repository(folder: Path, files: int) -> None:
    """A repository with so many files of 4 kB."""
    for number in range(files):
        path = folder / f"package{number % 10}/module{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"value = {number}\n" * 300)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")


async def bare(line: CommandLine) -> float:
    """Milliseconds of the command without anything of ours."""
    await asyncio.sleep(PAUSE_S)
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *line.argv,
        cwd=line.folder,
        env=dict(line.environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    await process.communicate()
    return 1000 * (time.perf_counter() - began)


async def confined(sandbox: Sandbox, line: CommandLine, access: Access) -> float:
    """Milliseconds from the call to its result, with everything before and after."""
    await asyncio.sleep(PAUSE_S)
    began = time.perf_counter()
    outcome = await (await sandbox.start(line, access)).finish(60)
    assert outcome.completed.code == 0, outcome.completed.output
    return 1000 * (time.perf_counter() - began)


async def measure_tier(found: Found, folder: Path, rounds: int) -> bool:
    """The difference of medians, for commands that may write and for those that only read."""
    line = shell_line("true", folder, command_environment(os.environ))
    sandbox = Sandbox(found, folder, User(Path.home()))
    times: dict[str, list[float]] = {"bare": [], "writes": [], "reads": []}
    try:
        for number in range(rounds + 3):
            taken = {
                "bare": await bare(line),
                "writes": await confined(sandbox, line, Access()),
                "reads": await confined(sandbox, line, Access(writes=False)),
            }
            if number >= 3:  # the first ones read the files
                for name, each in taken.items():
                    times[name].append(each)
    finally:
        sandbox.close()
    medians = {name: statistics.median(each) for name, each in times.items()}
    report(f"{found.tier}: a bare command", medians["bare"], "ms")
    report(f"{found.tier}: more for a command that only reads", medians["reads"] - medians["bare"], "ms")
    more = medians["writes"] - medians["bare"]
    return report(f"{found.tier}: more for a command that may write", more, "ms", f"<= {BAR_MS}")


def measure_orphans(tier: Tier, commands: int) -> bool:
    """Kill an agent with so many running commands; what of them lives a second later."""
    marker = f"14142.{tier.value == Tier.LANDLOCK.value:d}"
    with folder_at_home() as folder:
        started = kill_agent(tier, folder, marker, commands, None)
        time.sleep(1.0)
        left = len({*running(marker), *alive(started)})
    return report(f"{tier}: processes 1 s after kill -9 of the agent during {commands} commands", left, "", "== 0")


def machine() -> str:
    """The kernel."""
    return subprocess.run(["uname", "-sr"], capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    """Exit code 1 when a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--commands", type=int, default=100)
    parser.add_argument("--files", type=int, default=FILES)
    options = parser.parse_args()
    print(f"{machine()}, {os.cpu_count()} cores, {options.files} files", file=sys.stderr)
    held = True
    for tier in TIERS:
        found = find_tier(tier)
        if found.tier is not tier:
            print(f"no {tier} here: {found.shortfall}", file=sys.stderr)
            continue
        with folder_at_home() as folder:
            repository(folder, options.files)
            held &= asyncio.run(measure_tier(found, folder, options.rounds))
        held &= measure_orphans(tier, options.commands)
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
