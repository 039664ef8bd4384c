"""What a person sees of a run."""

from __future__ import annotations

import io

from rich.console import Console

from agent.events import (
    AgentEvent,
    FileChanged,
    Notice,
    PrefillProgressed,
    RunEnd,
    RunFinished,
    TestsFinished,
    TextStreamed,
    ToolFinished,
    ToolStarted,
    TurnFinished,
)
from agent.live_view import LiveView
from agent.messages import AssistantMessage, ToolCall, Usage

CALL = ToolCall("c1", "bash", {"command": "ls"})


def shown(*events: AgentEvent, answers: bool = True, terminal: bool = False) -> str:
    stream = io.StringIO()
    # Whatever terminal the tests themselves run in.
    environment = {"TERM": "xterm-256color"}
    console = Console(file=stream, force_terminal=terminal, width=100, highlight=False, _environ=environment)
    with LiveView(console, answers=answers) as view:
        for event in events:
            view.handle(event)
    return stream.getvalue()


def turn(text: str, *calls: ToolCall) -> list[AgentEvent]:
    return [TextStreamed(text), TurnFinished(AssistantMessage("a", text, tool_calls=calls), 10)]


def test_away_from_a_terminal_there_are_plain_lines_only() -> None:
    events: list[AgentEvent] = [
        PrefillProgressed(5, 10, 0, 1.0),
        *turn("I look.", CALL),
        ToolStarted(CALL, "ls"),
        ToolFinished("c1", "bash", "a.py\nb.py\nc.py\nd.py\ne.py", False, 0.1),
        FileChanged("a.py", "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-old\n+new\n", 1, 1),
        TestsFinished(True, 3, 0, 1.5, "3 passed"),
        RunFinished(RunEnd.DONE, "", 1, 2.0, Usage(10, 20, 30, decode_ms=1000)),
    ]
    assert shown(*events) == (
        "I look.\n"
        "● ls\n"
        "  a.py\n  b.py\n  c.py\n  … 2 more lines\n"
        "● a.py  +1 -1\n  @@ -1 +1 @@\n  -old\n  +new\n"
        "✔ tests: 3 passed in 1.5 s\n"
        "done after 2.0 s; tokens: 20 read, 10 cached, 30 written, 30.0 tokens/s\n"
    )


def test_the_final_answer_is_left_to_standard_output_when_asked() -> None:
    events = [*turn("First I look.", CALL), *turn("The answer.")]
    assert shown(*events) == "First I look.\nThe answer.\n"
    assert shown(*events, answers=False) == "First I look.\n"


def test_foreign_text_steers_no_terminal_and_is_no_markup() -> None:
    evil = "\x1b]52;c;eA==\x07\x1b[2J[bold]x[/] \u202e"
    events: list[AgentEvent] = [
        *turn(evil),
        ToolStarted(CALL, evil),
        ToolFinished("c1", evil, evil, True, 0.1),
        FileChanged(evil, f"a\nb\n+{evil}\n", 1, 0),
        Notice(evil),
    ]
    text = shown(*events)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count("[bold]x[/]") == 7


def test_on_a_terminal_progress_is_shown_and_taken_away_again() -> None:
    text = shown(PrefillProgressed(512, 2048, 100, 12.0), terminal=True)
    assert "reading 512 of 2,048 tokens (100 cached, 12 s left)" in text
    last = text.rindex("reading")
    assert "\x1b[2K" in text[last:]  # the line is erased
    assert "\x1b[?25h" in text[last:]  # and the cursor shown again


def test_a_refused_call_names_its_tool() -> None:
    assert (
        shown(ToolFinished("c1", "bash", "Not allowed: it is dangerous.", True, 0.0))
        == "  bash: Not allowed: it is dangerous.\n"
    )
