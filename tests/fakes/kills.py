"""A session that edits, runs commands and talks, killed at any moment; and what is checked afterwards.

The child is forked from a process that has everything imported, so that a thousand kills take minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.assembly import Wish, open_session
from agent.confinement import Commands
from agent.messages import AssistantMessage, ToolResultMessage, UserMessage
from agent.setup import Setup, read_setup
from tests.fakes.scripted_model import Call, Script, Scripted, ScriptedModel
from tests.fakes.sessions import collect
from tools.commands import Unconfined

FILES = 3
FILLER = "the same words again and again\n" * 1500
RUNS = 6


def version(number: int) -> str:
    """The whole content of a file in its ``number``th version; any other content is half-written."""
    return f"version {number}\n{FILLER}end of {number}\n"


@dataclass(frozen=True)
class Killed:
    """What was found after one kill; all but ``acknowledged`` must be 0, ``seconds`` is the time to resume."""

    acknowledged: int
    half_written: int
    lost: int
    twice: int
    left_behind: int
    not_undone: int
    seconds: float


def _setup(home: Path, work: Path) -> Setup:
    return read_setup(argparse.Namespace(mode="yolo"), {"HOME": str(home)}, work)


def _wish(resume: str | None = None) -> Wish:
    return Wish(resume=resume, commands=Commands(Unconfined(), "", lambda: None))


def _script() -> list[Script]:
    script: list[Script] = []
    for number in range(1, RUNS + 1):
        name, before = f"file-{number % FILES}", max(0, number - FILES)
        changes = [(f"version {before}\n", f"version {number}\n"), (f"end of {before}\n", f"end of {number}\n")]
        edits = [{"find": old, "replace": new} for old, new in changes]
        edit = Call("edit", {"path": name, "replacements": edits})
        script.append(Scripted(calls=(Call("read", {"path": name}), edit)))
        script.append(Scripted(calls=(Call("bash", {"command": f"echo {number} >> ran.txt"}),)))
        script.append(Scripted(f"Answer {number}."))
    return script


def _live(home: Path, work: Path, acknowledge: Callable[[bytes], object]) -> None:
    async def main() -> None:
        session = open_session(_setup(home, work), ScriptedModel(_script()), _wish()).session
        acknowledge(f"{session.id}\n".encode())
        for number in range(1, RUNS + 1):
            await collect(session.submit(f"Message {number}"))
            acknowledge(f"{number}\n".encode())

    asyncio.run(main())


def kill_once(folder: Path, draw: random.Random, longest: float) -> Killed | None:
    """Let a session live for a random time, kill it, and look; None when it did not even begin."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    for number in range(FILES):
        (work / f"file-{number}").write_text(version(0))
    start = {path.name: path.read_bytes() for path in work.iterdir()}
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _live(home, work, lambda text: os.write(writer, text))
        finally:
            os._exit(0)
    os.close(writer)
    time.sleep(draw.uniform(0, longest))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode().split()
    return _look(home, work, said, start) if said else None


def _look(home: Path, work: Path, said: list[str], start: dict[str, bytes]) -> Killed:
    whole = {version(number).encode() for number in range(RUNS + 1)}
    half_written = sum(path.read_bytes() not in whole for path in work.glob("file-*"))
    ran = (work / "ran.txt").read_text().split() if (work / "ran.txt").exists() else []
    began = time.monotonic()
    session = open_session(_setup(home, work), ScriptedModel([Scripted("On.")]), _wish(said[0])).session
    seconds = time.monotonic() - began
    asyncio.run(collect(session.submit("go on")))
    messages = session.messages
    users = [each.text for each in messages if isinstance(each, UserMessage)]
    lost = sum(f"Message {number}" not in users for number in said[1:])
    answers = {each.text for each in messages if isinstance(each, AssistantMessage)}
    lost += sum(f"Answer {number}." not in answers for number in said[1:])
    calls = [call.id for each in messages if isinstance(each, AssistantMessage) for call in each.tool_calls]
    lost += calls != [each.call_id for each in messages if isinstance(each, ToolResultMessage)]
    after = (work / "ran.txt").read_text().split() if (work / "ran.txt").exists() else []
    twice = (len(after) - len(set(after))) + (after != ran)
    left_behind = sum(path.name.startswith(".agent-write-") for path in work.rglob("*"))
    while (report := session.undo()).restored or report.unrecorded:
        pass
    asyncio.run(session.close())
    not_undone = sum((work / name).read_bytes() != content for name, content in start.items())
    return Killed(len(said) - 1, half_written, lost, twice, left_behind, not_undone, seconds)
