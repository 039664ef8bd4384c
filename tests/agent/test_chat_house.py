"""What a plain chat can do beside talking: the abilities of the window, in words."""

from __future__ import annotations

import argparse
import asyncio
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from agent.assembly import Wish
from agent.chat import hold_chats
from agent.chat_house import ChatHouse
from agent.setup import read_setup
from tests.fakes.scripted_model import Script, Scripted, ScriptedModel

BROKEN = "def total(prices):\n    return sum(prices) + 1\n"
TESTS = (
    "import unittest\nfrom orders import total\n\n\nclass Total(unittest.TestCase):\n"
    "    def test_adds_up(self):\n        self.assertEqual(total([1, 2]), 3)\n"
)
REPAIR = Scripted("```python\ndef total(prices):\n    return sum(prices)\n```\n")


class Evening:
    """Chats with typed lines on one repository; ``shown`` is all that appeared."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "work"
        self.root.mkdir()
        (self.root / "orders.py").write_text(BROKEN, encoding="utf-8")
        (self.root / "test_orders.py").write_text(TESTS, encoding="utf-8")
        for command in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", *command], cwd=self.root, check=True)
        environment = {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
        self.setup = read_setup(argparse.Namespace(), {**environment, "HOME": str(folder)}, self.root)
        self.model = ScriptedModel([])
        self.shown = ""

    def spend(self, script: Sequence[Script], typed: Sequence[str]) -> str:
        self.model = ScriptedModel(script, small=True)
        lines, stream = list(typed), io.StringIO()

        def read(_: str) -> str | None:
            if not lines:
                raise EOFError
            return lines.pop(0)

        house = ChatHouse(self.setup, self.model)
        asyncio.run(hold_chats(house, Console(file=stream, width=300), Wish(interactive=True), read))
        assert not lines
        self.shown = stream.getvalue()
        return self.shown

    @property
    def read_by_model(self) -> list[str]:
        return [each.text for one in self.model.conversations for each in one.entries if each.kind == "user"]


@pytest.fixture
def evening(tmp_path: Path) -> Evening:
    return Evening(tmp_path)


def test_a_repair_is_found_told_and_taken_back(evening: Evening) -> None:
    command = f"{sys.executable} -m unittest -q"
    shown = evening.spend([REPAIR, Scripted("I know.")], [f"/fix {command}", "what happened?", "/undo"])
    assert "Fixed:" in shown
    assert any("+    return sum(prices)" in text and "what happened?" in text for text in evening.read_by_model)
    assert (evening.root / "orders.py").read_text() == BROKEN
    assert "Restored orders.py" in shown


def test_a_shell_line_and_a_file_are_the_users_own_and_the_model_reads_them(evening: Evening) -> None:
    shown = evening.spend([Scripted("Seen.")], ["!echo by-hand", "look at @orders.py and @nothing.py"])
    assert "by-hand" in shown
    assert "by-hand" in evening.read_by_model[-1]
    assert "return sum(prices) + 1" in evening.read_by_model[-1]


def test_sessions_are_named_listed_copied_left_and_gone_on_with(evening: Evening) -> None:
    script = [Scripted("one"), Scripted("two"), Scripted("three")]
    typed = [
        "about apples",
        "/rename The apples",
        "/new",
        "about pears",
        "/sessions",
        "/sessions 2",
        "go on",
        "/export",
    ]
    shown = evening.spend(script, typed)
    assert "The apples" in shown
    assert "about pears" in shown
    assert evening.read_by_model[-1] == "go on"
    exported = next(evening.root.glob("session-*.jsonl")).read_text(encoding="utf-8")
    assert "about apples" in exported
    assert "go on" in exported
    assert "about pears" not in exported


def test_what_cannot_be_done_is_a_sentence_and_the_chat_goes_on(evening: Evening) -> None:
    typed = ["/sessions 9", "/fork", "/rename", "/fix no-such-program", "/mode plan", "/fix true", "still here?"]
    shown = evening.spend([Scripted("Yes.")], typed)
    assert "with the number of a session" in shown
    assert "Say /rename and the title." in shown
    assert "`no-such-program` cannot run" in shown
    assert "In plan mode nothing is changed" in shown
    assert "Yes." in shown
