"""A process that is killed at any moment: the session goes on with every acknowledged message."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from agent.assembly import Wish, open_session
from agent.messages import AssistantMessage, Message, ToolResultMessage, UserMessage
from agent.setup import read_setup
from tests.fakes.scripted_model import Scripted, ScriptedModel
from tests.fakes.sessions import collect

ROOT = Path(__file__).parents[2]

_SPEAKER = """
import argparse, asyncio, sys
from pathlib import Path
from agent.assembly import Wish, open_session
from agent.setup import read_setup
from tests.fakes.scripted_model import Call, Scripted, ScriptedModel

async def main():
    setup = read_setup(argparse.Namespace(mode="yolo"), {"HOME": sys.argv[1]}, Path(sys.argv[2]))
    script = []
    for number in range(1000):
        script.append(Scripted("I note.", calls=(Call("bash", {"command": f"echo {number} >> ran.txt"}),)))
        script.append(Scripted(f"Answer {number}."))
    session = open_session(setup, ScriptedModel(script), Wish()).session
    print(session.id, flush=True)
    for number in range(1000):
        async for event in session.submit(f"Message {number}"):
            pass
        print(f"acknowledged {number}", flush=True)

asyncio.run(main())
"""


def _answered(messages: tuple[Message, ...]) -> bool:
    """Whether every call is followed by its result."""
    calls = [call.id for message in messages if isinstance(message, AssistantMessage) for call in message.tool_calls]
    return calls == [message.call_id for message in messages if isinstance(message, ToolResultMessage)]


@pytest.mark.slow
@pytest.mark.parametrize("acknowledged", [1, 2, 4, 7])
def test_every_acknowledged_message_is_there_and_no_call_runs_twice(tmp_path: Path, acknowledged: int) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", _SPEAKER, str(tmp_path), str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    session_id = process.stdout.readline().strip()
    for _ in range(acknowledged):
        process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    ran = (folder / "ran.txt").read_text().split()
    setup = read_setup(argparse.Namespace(mode="yolo"), {"HOME": str(tmp_path)}, folder)
    session = open_session(setup, ScriptedModel([Scripted("Going on.")]), Wish(resume=session_id)).session

    async def go_on() -> None:
        await collect(session.submit("go on"))
        await session.close()

    asyncio.run(go_on())
    said = [message.text for message in session.messages if isinstance(message, UserMessage)]
    assert said[:acknowledged] == [f"Message {number}" for number in range(acknowledged)]
    assert said[-1] == "go on"
    assert _answered(session.messages)
    assert (folder / "ran.txt").read_text().split() == ran
    assert len(set(ran)) == len(ran)
