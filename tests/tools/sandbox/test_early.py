"""A bubblewrap waits for the next command: it is replaced when it is gone, and goes with the session."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.confined import folder_at_home, tier_here
from tools.commands import Access
from tools.launch import shell_line
from tools.sandbox.planning import User
from tools.sandbox.policy import Tier
from tools.sandbox.sandbox import Sandbox


@dataclass(frozen=True)
class Place:
    folder: Path
    sandbox: Sandbox


@pytest.fixture
def place() -> Iterator[Place]:
    found = tier_here(Tier.BUBBLEWRAP)
    if found.tier is not Tier.BUBBLEWRAP:
        pytest.skip("no bubblewrap here")
    with folder_at_home() as folder:
        made = Sandbox(found, folder, User(Path.home()))
        yield Place(folder, made)
        made.close()


def waiting() -> set[int]:
    """Bubblewraps of ours that have no command yet, or have become one."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and b"--args" in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


async def run(place: Place, command: str) -> str:
    line = shell_line(command, place.folder, {"PATH": os.environ["PATH"]})
    outcome = await (await place.sandbox.start(line, Access())).finish(20)
    await asyncio.sleep(0.1)  # in which the next one is made ready
    return outcome.completed.output


def test_one_waits_after_a_command_and_takes_the_next(place: Place) -> None:
    async def go() -> None:
        assert await run(place, "echo one") == "one\n"
        (first,) = waiting()
        assert await run(place, "echo two") == "two\n"
        assert waiting()
        assert first not in waiting()

    asyncio.run(go())
    place.sandbox.close()
    assert not waiting()


def test_one_that_was_killed_is_replaced(place: Place) -> None:
    async def go() -> None:
        await run(place, "true")
        (pid,) = waiting()
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.1)
        assert await run(place, "echo still here") == "still here\n"

    asyncio.run(go())


def test_words_of_the_command_reach_it_as_they_are(place: Place) -> None:
    async def go() -> None:
        odd = 'it\'s "odd"\n$HOME `x` \\ *'
        line = shell_line("", place.folder, {"PATH": os.environ["PATH"]})
        told = [line.argv[0], "-c", 'printf "%s|" "$@"', "if", odd, "", "é"]
        command = await place.sandbox.start(type(line)(told, line.folder, line.environment), Access())
        assert (await command.finish(20)).completed.output == f"{odd}||é|"

    asyncio.run(go())
