"""Byte strings that try to steer a terminal, shown by the plain command line under a pty, and what came through.

Foreign sequences bear the parameter 7777, or are of kinds that this program never writes.
"""

from __future__ import annotations

import os
import pty
import random
import re
from collections.abc import Sequence

from rich.console import Console

from agent.events import (
    AgentEvent,
    ApprovalRequested,
    CompactionFinished,
    FileChanged,
    Notice,
    RunEnd,
    RunFinished,
    SessionStarted,
    Steered,
    TestsFinished,
    TestsStarted,
    TextStreamed,
    TodoItem,
    TodosChanged,
    ToolCallStreamed,
    ToolFinished,
    ToolStarted,
    TurnFinished,
)
from agent.live_view import LiveView
from agent.messages import AssistantMessage, ToolCall, Usage
from agent.visible import visible

_PIECES = (
    "\x1b]52;c;aGFja2Vk\x07", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "\x1b]0;title\x07", "\x1b]", "\x1b[7777m",
    "\x1b[7777;1H", "\x1b[2J\x1b[7777A", "\x9b7777m", "\x9d52;c;YQ==\x9c", "\x90q#0\x9c", "\x1bPq\x1b\\",
    "\x1b_x\x1b\\", "\x1b^x\x1b\\", "\x1bX", "\x1bc", "\x1b(0", "\x1b#8", "\x0e", "\x0f", "\x05", "\x07", "\x08",
    "\x7f", "\x00", "\x84", "\x85", "\u202e", "\u2066", "\u200b", "\U000e0041", "\u2028", "\ufeff", "\ud800",
    "\udc9b", "\r", "\r\n", "\n", "\t", "[/]", "[bold]", "[@click=app.quit()]", "[red", "\\[", "a", "ls -la", "größe",
    "日本", "👩\u200d💻", "7777m", "[7777A", "m", ";", "?25l", "\x1b\x1b[7777m", "\x1b[?7777h",
    "\x1b[7777\x1b[7777J",
)  # fmt: skip
# What the program itself writes: colours, the cursor's line and visibility, the erasure of a line.
_OURS = re.compile(rb"\x1b\[(?:(?:\d{1,3}(?:;\d{1,3})*)?m|\d*A|2K|\?25[lh]|\?2026[lh])")
_STEERING = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")
_INVISIBLE = re.compile("[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f\x80-\x9f]")


def foreign(draw: random.Random) -> str:
    """A string of pieces, or of random bytes as a tool would have decoded them."""
    if draw.random() < 0.3:
        return draw.randbytes(draw.randint(1, 60)).decode(draw.choice(["utf-8", "latin-1"]), "replace")
    return "".join(draw.choice(_PIECES) for _ in range(draw.randint(1, 12)))


def events(text: str) -> list[AgentEvent]:
    """Every event that can carry foreign text to a person, with this text."""
    call = ToolCall("1", text, {"command": text})
    return [
        SessionStarted("id", text, 1, text, "default", (text,)),
        TextStreamed(text),
        ToolCallStreamed("1", text, text),
        TurnFinished(AssistantMessage("1", text, tool_calls=(call,)), 1),
        ToolStarted(call, text),
        ToolFinished("1", text, text, True, 0.1),
        ToolFinished("1", text, text, False, 0.1),
        FileChanged(text, f"--- a/{text}\n+++ b/{text}\n@@ -1 +1 @@\n-{text}\n+{text}\n", 1, 1),
        TodosChanged((TodoItem(text, "pending"), TodoItem(text, "completed"))),
        ApprovalRequested("1", call, text, text, text, (text,)),
        Steered("1", text),
        TestsStarted(text, 1),
        TestsFinished(False, 1, 1, 0.1, text),
        CompactionFinished(2, 1),
        Notice(text, is_error=True),
        RunFinished(RunEnd.DONE, text, 1, 0.1, Usage()),
    ]


def show(texts: Sequence[str]) -> None:
    """As the command line does it; ``visible`` is what an approval and the question of trust print."""
    # The terminal itself: a test runner may have put something else in the place of sys.stdout.
    terminal = os.fdopen(os.dup(1), "w", encoding="utf-8")
    console = Console(file=terminal, highlight=False, force_terminal=True, width=100)
    with LiveView(console) as view:
        for text in texts:
            for event in events(text):
                view.handle(event)
            console.print(visible(text), markup=False, soft_wrap=True)
    terminal.close()


def shown_under_a_pty(texts: Sequence[str]) -> bytes:
    """Everything that a terminal got; raises AssertionError when the program failed."""
    child, terminal = pty.fork()
    if child == 0:
        code = 1
        try:
            show(texts)
            code = 0
        finally:
            os._exit(code)
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, b"".join(pieces[-3:])
    return b"".join(pieces)


def foreign_sequences(output: bytes) -> list[bytes]:
    """What is left of foreign control in the output, once our own sequences and the line ends are taken out."""
    rest = _OURS.sub(b"", output).replace(b"\r\n", b"\n").replace(b"\r", b"")
    found = _STEERING.findall(rest)
    found += [match.encode() for match in _INVISIBLE.findall(rest.decode("utf-8", "replace"))]
    return found + re.findall(rb"\x1b\[[0-9;?]*7777[0-9;?]*[ -/]*[@-~]", output)
