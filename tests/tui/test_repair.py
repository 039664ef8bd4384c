"""``/fix``: a repair that the tests judge, shown as a run of the window, kept as a change of its session."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from agent.test_guess import guess_test_command
from tests.fakes.scripted_model import Scripted
from tests.tui.windows import Door, Window
from tui.screens.line import LineScreen
from tui.view_state import Ended, Note, Prompted, TestRun

COMMAND = f"{sys.executable} -m unittest -q"
BROKEN = "def total(prices):\n    return sum(prices) + 1\n"
TESTS = (
    "import unittest\nfrom orders import total\n\n\nclass Total(unittest.TestCase):\n"
    "    def test_adds_up(self):\n        self.assertEqual(total([1, 2]), 3)\n\n"
    "    def test_small_numbers(self):\n        self.assertGreater(total([1]), 0)\n"
)
REPAIR = Scripted("```python\ndef total(prices):\n    return sum(prices)\n```\n")
NO_REPAIR = Scripted("```python\ndef total(prices):\n    return sum(prices) - 7\n```\n")


@pytest.fixture
def repository(door: Door) -> Door:
    (door.root / "test_orders.py").write_text(TESTS, encoding="utf-8")
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=door.root, check=True)
    return door


def notes(window: Window) -> str:
    return "\n".join(each.text for each in window.state.entries if isinstance(each, Note))


def code(door: Door) -> str:
    return (door.root / "orders.py").read_text(encoding="utf-8")


def test_fix_repairs_and_undo_knows_of_it_and_the_model_is_told(repository: Door) -> None:
    async def go() -> None:
        async with repository.open([NO_REPAIR, REPAIR, Scripted("I know")], small=True) as window:
            await window.say(f"/fix {COMMAND}")
            await window.until(lambda: "Fixed:" in notes(window))
            assert code(repository) == "def total(prices):\n    return sum(prices)\n"
            runs = [each.green for each in window.state.entries if isinstance(each, TestRun)]
            assert runs == [False, False, True]
            assert isinstance(window.state.entries[0], Prompted)
            assert any(isinstance(each, Ended) for each in window.state.entries)
            assert len(window.app.host.records()) <= 1, "the attempts leave no session behind"

            await window.say("what changed?")
            await window.idle()
            told = [each.text for each in window.model.conversations[0].entries if each.kind == "user"][-1]
            assert "+    return sum(prices)" in told

            await window.say("/undo")
            assert code(repository) == BROKEN

    asyncio.run(go())


def test_a_fix_that_is_interrupted_puts_the_files_back_and_the_window_goes_on(repository: Door) -> None:
    async def go() -> None:
        gate = asyncio.Event()
        async with repository.open([NO_REPAIR, Scripted("", gate=gate), Scripted("here")], small=True) as window:
            await window.say(f"/fix {COMMAND}")
            await window.until(lambda: window.model.responses_left == 1)
            await window.say("queued meanwhile")
            assert [each.text for each in window.state.pending] == ["queued meanwhile"]
            await window.press("escape")
            await window.until(lambda: any(isinstance(each, Ended) and each.how for each in window.state.entries))
            assert code(repository) == BROKEN
            await window.until(lambda: window.model.responses_left == 0)
            await window.idle()
            assert "here" in window.screen_text

    asyncio.run(go())


def test_fix_asks_for_its_command_and_says_what_is_wrong_with_it(repository: Door) -> None:
    async def go() -> None:
        async with repository.open() as window:
            await window.say("/fix")
            await window.until(lambda: isinstance(window.app.screen, LineScreen))
            assert "pytest -q" in window.screen_text
            await window.press("ctrl+u", *"true", "enter")
            await window.until(lambda: "`true` passes already" in notes(window))
            await window.say("/fix no-such-program")
            await window.until(lambda: "`no-such-program` cannot run" in notes(window))
            await window.say("/mode plan")
            await window.say("/fix true")
            assert "In plan mode nothing is changed" in notes(window)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"Makefile": "all:\n\ttrue\n\ntest: all\n\ttrue\n"}, "make test"),
        ({"Makefile": "tests:\n", "Cargo.toml": ""}, "cargo test"),
        ({"package.json": '{"scripts": {"test": "vitest"}}'}, "npm test"),
        ({"package.json": "{}", "go.mod": ""}, "go test ./..."),
        ({"test_it.py": ""}, "pytest -q"),
        ({"package.json": "not json", "main.c": ""}, ""),
    ],
)
def test_the_test_command_is_guessed_from_what_lies_in_the_repository(
    tmp_path: Path, files: dict[str, str], command: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert guess_test_command(tmp_path) == command
