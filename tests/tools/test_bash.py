"""The bash tool: output, limits, background jobs, and no process left behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.fakes.hands import Hands
from tools.base import ToolOutput


def running(marker: str) -> list[int]:
    """Processes whose command line holds ``marker``."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(condition: Callable[[], bool]) -> bool:
    """Whether ``condition`` comes true before a generous time is over."""
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def gone(marker: str) -> bool:
    """Whether all processes with ``marker`` end."""
    return wait_until(lambda: not running(marker))


def test_output_of_both_streams_and_the_exit_code_are_told(hands: Hands) -> None:
    output = hands.call("bash", command="echo out; echo err >&2; exit 3")
    assert output == ToolOutput("out\nerr\n(exit code 3)", is_error=True)
    assert hands.text("bash", command="true") == "(no output)\n(exit code 0)"
    assert "".join(hands.live) == "out\nerr\n"


def test_commands_run_in_the_workspace_with_the_given_environment_and_no_input(hands: Hands) -> None:
    hands.context.environment["GREETING"] = "hello"
    text = hands.text("bash", command='pwd; echo "$GREETING"; env | grep -c SHELL_SECRET; cat; true')
    assert text == f"{hands.root}\nhello\n0\n(exit code 0)"


def test_long_output_keeps_its_head_and_tail(hands: Hands) -> None:
    text = hands.text("bash", command="seq 1 200000")
    assert len(text) < 13_000
    assert text.startswith("1\n2\n3\n")
    assert text.endswith("199999\n200000\n(exit code 0)")
    assert "lines omitted" in text


def test_endless_output_is_stopped(hands: Hands) -> None:
    output = hands.call("bash", command="yes", timeout=60)
    assert output.is_error
    assert "wrote too much" in output.text
    assert len(output.text) < 1_000


def test_colours_progress_bars_and_binary_output_become_plain_text(hands: Hands) -> None:
    command = r"printf '\033[31mred\033[0m\n10%%\r50%%\r100%%\n\033]0;title\007\000\377x\n'"
    assert hands.text("bash", command=command) == "red\n100%\n\ufffdx\n(exit code 0)"


def test_a_command_that_takes_too_long_is_stopped_with_its_children(hands: Hands) -> None:
    output = hands.call("bash", command="setsid sleep 3333.1 & sleep 3333.1", timeout=0.5)
    assert output.is_error
    assert "stopped after 0.5 s" in output.text
    assert gone("3333.1")


def test_background_processes_end_with_their_command(hands: Hands) -> None:
    text = hands.text("bash", command="(setsid nohup sleep 3333.2 >/dev/null 2>&1 &) ; echo done")
    assert text.startswith("done\n")
    assert "background process" in text
    assert gone("3333.2")


def test_a_cancelled_command_is_stopped(hands: Hands) -> None:
    async def cancel_soon() -> ToolOutput:
        task = asyncio.create_task(hands.run("bash", {"command": "echo begun; sleep 3333.3"}))
        await hands.spoke.wait()
        hands.stop = True
        return await task

    output = hands.do(cancel_soon())
    assert output.text == "begun\n(stopped by the user)"
    assert gone("3333.3")


def test_a_cancelled_task_takes_its_command_with_it(hands: Hands) -> None:
    async def abandon() -> None:
        task = asyncio.create_task(hands.run("bash", {"command": "echo begun; sleep 3333.4"}))
        await hands.spoke.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gone("3333.4")

    hands.do(abandon())


def test_a_background_job_is_started_looked_at_and_ended(hands: Hands) -> None:
    async def story() -> list[str]:
        started = await hands.run("bash", {"command": "echo up; sleep 3333.5", "background": True})
        seen = await hands.run("bash", {"job": "1"})
        ended = await hands.run("bash", {"job": "%1", "kill": True})
        after = await hands.run("bash", {"command": "", "job": "1"})
        return [started.text, seen.text, ended.text, after.text]

    assert hands.do(story()) == [
        "up\n(job 1 is running)",
        "up\n(job 1 is running)",
        "up\n(job 1 was stopped)",
        "up\n(job 1 ended with exit code 137)",
    ]
    assert gone("3333.5")


def test_a_background_job_that_fails_at_once_is_told_at_once(hands: Hands) -> None:
    assert "ended with exit code 127" in hands.text("bash", command="no-such-program", background=True)


def test_an_unknown_job_and_an_empty_call_are_refused(hands: Hands) -> None:
    assert "known jobs: none" in hands.refused("bash", job="7")
    with pytest.raises(ValidationError):
        hands.call("bash", command=" ")


def test_impossible_commands_are_refused(hands: Hands) -> None:
    for command in ("a\0b", "\ud800", "x" * 200_000):
        assert hands.refused("bash", command=command)


def test_a_command_that_kills_its_parent_leaves_nothing(hands: Hands) -> None:
    assert hands.call("bash", command="kill -9 $PPID; sleep 3333.7", timeout=10).is_error
    assert gone("3333.7")


AGENT = """
import asyncio, sys
from pathlib import Path
from tests.fakes.hands import Hands
async def main():
    hands = Hands(Path(sys.argv[1]))
    job = {"command": f"sleep {sys.argv[2]}", "background": True}
    await hands.run("bash", job)
    call = hands.run("bash", {"command": f"(setsid sleep {sys.argv[2]} &); echo; sleep {sys.argv[2]}"})
    task = asyncio.create_task(call)
    await hands.spoke.wait()
    print("ready", flush=True)
    await task
asyncio.run(main())
"""


def test_no_process_outlives_an_agent_that_is_killed(tmp_path: Path) -> None:
    marker = "3333.6"
    with subprocess.Popen([sys.executable, "-c", AGENT, str(tmp_path), marker], stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"ready\n"
        came = wait_until(lambda: len(running(f"sleep\0{marker}")) == 3)
        agent.kill()
    assert came
    assert gone(marker)
