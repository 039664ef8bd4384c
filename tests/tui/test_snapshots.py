"""Pictures of the main states in two themes. ``GOLDEN_TUI=write`` makes them anew: look at them before keeping them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from textual.screen import ModalScreen

from agent.events import (
    ApprovalRequested,
    PrefillProgressed,
    RunStarted,
    SessionStarted,
    TextStreamed,
    TodoItem,
    TodosChanged,
    ToolOutputStreamed,
    ToolStarted,
)
from agent.messages import ToolCall, Usage
from tests.tui.event_json import event_from_json
from tests.tui.stage import Stage, plain_svg
from tui.presenter import fold, with_pending
from tui.screens.approval import ApprovalScreen
from tui.screens.help import HelpScreen
from tui.screens.main import Facts
from tui.screens.picker import Choice, PickerOptions, PickerScreen
from tui.status_text import Loading
from tui.view_state import Pending, ViewState

GOLDEN = Path(__file__).parent.parent / "golden"
PICTURES = GOLDEN / "tui"
_STARTED = SessionStarted("s-1", "gemma-4-e4b", 32_768, "/home/ada/orders", "default", ())
_DIFF = """--- a/orders/pricing.py
+++ b/orders/pricing.py
@@ -10,6 +10,7 @@ class Order:
     def total(self) -> int:
         subtotal = sum(line.price for line in self.lines)
-        if self.count > BULK:
-            subtotal -= subtotal * 10 // 100
+        if self.count >= BULK:
+            discount = subtotal * PERCENT // 100
+            subtotal -= discount
         return subtotal
"""


def opened() -> ViewState:
    return fold(ViewState(), _STARTED)


def repaired() -> ViewState:
    state = opened()
    for line in (GOLDEN / "tui.events.jsonl").read_text(encoding="utf-8").splitlines()[1:]:
        record = json.loads(line)
        state = fold(state, event_from_json(record["event"]), record["at"])
    return state


def reading() -> ViewState:
    state = fold(opened(), RunStarted("m", "Why do bulk orders cost too much? Look at @orders/pricing.py"), 0.0)
    return fold(state, PrefillProgressed(1_024, 3_210, 2_048, 18.0), 10.0)


def working() -> ViewState:
    state = fold(opened(), RunStarted("m", "Run the tests and mend what fails"), 0.0)
    state = fold(state, TextStreamed("I run the tests first.\n"), 1.0)
    call = ToolCall("c", "bash", {"command": "pytest -q"})
    state = fold(state, ToolStarted(call, "pytest -q"), 2.0)
    state = fold(state, ToolOutputStreamed("c", "".join(f"tests/test_{n}.py ....  [{n} %]\n" for n in range(9))), 3.0)
    todos = (
        TodoItem("run the tests", "in_progress"),
        TodoItem("mend pricing", "pending"),
        TodoItem("again", "pending"),
    )
    return with_pending(fold(state, TodosChanged(todos), 3.5), Pending("p", "and keep it short", steer=True))


def asking(command: str = "") -> ViewState:
    state = fold(opened(), RunStarted("m", "Mend the discount"), 0.0)
    arguments = {"command": command} if command else {"path": "orders/pricing.py"}
    preview, remember = (command, "git commit") if command else (_DIFF, None)
    call = ToolCall("c", "bash" if command else "edit", arguments)
    return fold(state, ApprovalRequested("r", call, "this changes a file", preview, remember), 1.0)


def dialog_about(state: ViewState) -> ModalScreen[Any]:
    return ApprovalScreen(state.approvals[0])


def picker() -> ModalScreen[Any]:
    choices = [Choice(str(n), Text(f"  {n} min ago  Session about {n}  {n * 3} messages"), str(n)) for n in range(1, 9)]
    return PickerScreen(choices, PickerOptions("Sessions in this repository", {}, "Enter resumes · Esc leaves"))


_COMMAND = 'git commit -m "Mend the discount"    &&   echo дone'
STATES: dict[str, tuple[Callable[[], ViewState], Callable[[], ModalScreen[Any]] | None, tuple[int, int]]] = {
    "welcome": (opened, None, (100, 30)),
    "reading": (reading, None, (100, 30)),
    "working": (working, None, (100, 30)),
    "repaired": (repaired, None, (100, 36)),
    "narrow": (repaired, None, (60, 16)),
    "edit": (asking, lambda: dialog_about(asking()), (130, 30)),
    "command": (lambda: asking(_COMMAND), lambda: dialog_about(asking(_COMMAND)), (60, 16)),
    "help": (opened, HelpScreen, (130, 36)),
    "sessions": (opened, picker, (80, 24)),
}


async def picture(name: str, theme: str) -> str:
    make, dialog, size = STATES[name]
    loading = Loading("loading the model", 0.4) if name == "welcome" else None
    usage = Usage(2_048, 900, 210, 80, 61, 9_000, 9_000)
    state = make()
    if name not in ("welcome", "help"):
        state = replace(state, status=replace(state.status, last=usage, total=usage, context_used=4_321))
    stage = Stage(theme, state, Facts(now=12.0, memory=5_400_000_000, loading=loading))
    async with stage.run_test(size=size) as pilot:
        if dialog is not None:
            await stage.push_screen(dialog())
        await pilot.pause()
        stage.draw()
        await pilot.pause()
        stage.draw()
        await pilot.pause()
        return plain_svg(stage.export_screenshot(title="agent"))


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("name", STATES)
def test_the_screen_looks_as_it_did(name: str, theme: str) -> None:
    seen = asyncio.run(picture(name, theme))
    path = PICTURES / f"{name}-{theme}.svg"
    if os.environ.get("GOLDEN_TUI") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(seen, encoding="utf-8")
    assert seen == path.read_text(encoding="utf-8"), f"{path} looks otherwise now"
