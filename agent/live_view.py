"""What a person sees on standard error while the agent works: text, calls, diffs, tests, speed, time.

On a terminal with a status line that moves; elsewhere plain lines. Standard output is ``agent.output``'s.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from agent.clean import clean
from agent.event_lines import describe
from agent.events import (
    AgentEvent,
    PrefillProgressed,
    TestsStarted,
    TextStreamed,
    ThoughtStreamed,
    ToolCallStreamed,
    ToolStarted,
    TurnFinished,
)
from agent.messages import Usage

_PER_SECOND = 8  # how often the status line is drawn


class LiveView:
    """Shows events as they come; use it as a context manager so that the terminal is left tidy.

    ``answers`` False leaves out the text of the last turn: it goes to standard output anyway.
    """

    def __init__(self, console: Console, *, answers: bool = True) -> None:
        self._console = console
        self._answers = answers
        self._status = _Status()
        self._written = ""  # of the present turn, not printed yet
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(
                console=console, get_renderable=self._moving, refresh_per_second=_PER_SECOND, transient=True
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._flush_text()
        if self._live is not None:
            self._live.stop()

    def handle(self, event: AgentEvent) -> None:
        """Show one event."""
        self._status.note(event)
        if isinstance(event, TextStreamed):
            self._written += event.text
        elif isinstance(event, TurnFinished):
            if event.message.tool_calls or self._answers:
                self._flush_text()
            self._written = ""
        elif (line := describe(event)) is not None:
            self._flush_text()
            self._console.print(line, soft_wrap=True)

    def loading(self, fraction: float) -> None:
        """So much of the model (0.0 to 1.0) is loaded."""
        self._status.loading(fraction)

    def pause(self) -> None:
        """Take the moving part away, for a question; ``resume`` brings it back."""
        self._flush_text()
        if self._live is not None:
            self._live.stop()

    def resume(self) -> None:
        """Go on moving."""
        if self._live is not None:
            self._live.start()

    def _flush_text(self) -> None:
        if text := clean(self._written).strip():
            self._console.print(Text(text), soft_wrap=True)
        self._written = ""

    def _moving(self) -> RenderableType:
        """The last lines of what is being written, and the status line."""
        height = max(3, self._console.height // 2)
        tail = Text("\n".join(clean(self._written).splitlines()[-height:]))
        return Group(tail, self._status.line()) if tail.plain else self._status.line()


class _Status:
    """The facts of the status line."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._doing = "starting"
        self._usage = Usage()
        self._pieces = 0
        self._since = self._began

    def note(self, event: AgentEvent) -> None:
        match event:
            case PrefillProgressed():
                left = f", {event.seconds_left:.0f} s left" if event.done < event.total else ""
                self._doing = f"reading {event.done:,} of {event.total:,} tokens ({event.cached:,} cached{left})"
                self._pieces, self._since = 0, time.monotonic()
            case TextStreamed() | ThoughtStreamed() | ToolCallStreamed():
                self._pieces += 1
                self._doing = f"{_activity(event)}, about {self._pieces_a_second():.0f} tokens/s"
            case TurnFinished():
                self._usage += event.message.usage
                usage = event.message.usage
                self._doing = (
                    f"{event.context_used:,} tokens of context, {usage.decode_tps:.0f} tokens/s{_drafts(usage)}"
                )
            case ToolStarted():
                self._doing = f"running {event.call.name}"
            case TestsStarted():
                self._doing = f"running {event.command}"
            case _:
                pass

    def loading(self, fraction: float) -> None:
        self._doing = f"loading the model, {fraction:.0%}"

    def _pieces_a_second(self) -> float:
        return self._pieces / max(0.1, time.monotonic() - self._since)

    def line(self) -> Text:
        seconds = time.monotonic() - self._began
        return Text(f"  {seconds:5.0f} s  {clean(self._doing)}", style="dim", no_wrap=True, overflow="ellipsis")


def _drafts(usage: Usage) -> str:
    """What the drafters contributed, for the end of a line."""
    parts = [f"{each.drafter} {each.accepted:,} of {each.drafted:,}" for each in usage.drafters]
    return f", drafts accepted: {', '.join(parts)}" if parts else ""


def _activity(event: TextStreamed | ThoughtStreamed | ToolCallStreamed) -> str:
    match event:
        case TextStreamed():
            return "writing"
        case ThoughtStreamed():
            return "thinking"
        case ToolCallStreamed():
            return f"calling {event.name}"
