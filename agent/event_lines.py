"""The lines that events leave on a plain terminal.

Foreign text is cleaned here; nothing is printed here.
"""

from __future__ import annotations

from rich.text import Text

from agent.clean import clean
from agent.events import (
    AgentEvent,
    ApprovalRequested,
    AttemptStarted,
    CompactionFinished,
    FileChanged,
    Notice,
    RepetitionNoticed,
    RunEnd,
    RunFinished,
    SessionStarted,
    Steered,
    TestsFinished,
    TestsStarted,
    TodosChanged,
    ToolFinished,
    ToolStarted,
)

_RESULT_LINES = 3  # of a tool's answer
_RESULT_WIDTH = 160
_DIFF_LINES = 60


def describe(event: AgentEvent) -> Text | None:
    """What stays of an event; None for those that only pass by."""
    match event:
        case SessionStarted():
            return _session(event)
        case ToolStarted():
            return Text.assemble(("● ", "cyan"), (clean(event.summary), "bold"))
        case ToolFinished():
            return _tool_end(event)
        case FileChanged():
            return _diff(event)
        case TodosChanged():
            return _todos(event)
        case ApprovalRequested():
            return Text.assemble(("? ", "yellow"), (f"{clean(event.call.name)}: {clean(event.reason)}", "bold"))
        case TestsStarted():
            return Text.assemble(("● ", "cyan"), (f"$ {clean(event.command)}", "bold"))
        case TestsFinished():
            return _tests(event)
        case AttemptStarted():
            return Text(f"\nAttempt {event.attempt}: {clean(event.strategy)}", "bold")
        case RepetitionNoticed():
            return Text(f"! {clean(event.name)} was called {event.count} times in a row", "yellow")
        case CompactionFinished():
            return Text(f"Context compacted: {event.before:,} to {event.after:,} tokens", "dim")
        case Notice():
            return Text(f"! {clean(event.text)}", "red" if event.is_error else "yellow")
        case Steered():
            return Text(f"> {clean(event.text)}", "dim")
        case RunFinished():
            return _end(event)
        case _:
            return None


def _session(event: SessionStarted) -> Text:
    return Text(f"{clean(event.model)}, {event.context_tokens:,} tokens of context, session {event.session_id}", "dim")


def _tool_end(event: ToolFinished) -> Text:
    lines = clean(f"{event.name}: {event.text}" if event.is_error else event.text).strip().splitlines()
    shown = [line if len(line) <= _RESULT_WIDTH else f"{line[:_RESULT_WIDTH]}…" for line in lines[:_RESULT_LINES]]
    if len(lines) > _RESULT_LINES:
        shown.append(f"… {len(lines) - _RESULT_LINES} more lines")
    return Text("\n".join(f"  {line}" for line in shown), style="red" if event.is_error else "dim")


def _diff(event: FileChanged) -> Text:
    text = Text.assemble(("● ", "green"), (clean(event.path), "bold"), f"  +{event.added} -{event.removed}")
    lines = clean(event.diff).splitlines()[2:]
    for line in lines[:_DIFF_LINES]:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        text.append(f"\n  {line}", style)
    if len(lines) > _DIFF_LINES:
        text.append(f"\n  … {len(lines) - _DIFF_LINES} more lines", "dim")
    return text


def _todos(event: TodosChanged) -> Text:
    marks = {"completed": "✔", "in_progress": "▶"}
    return Text("\n".join(f"  {marks.get(item.status, '○')} {clean(item.text)}" for item in event.items))


def _tests(event: TestsFinished) -> Text:
    counts = [f"{event.passed} passed"] if event.passed is not None else []
    counts += [f"{event.failed} failed"] if event.failed else []
    mark, style = ("✔ ", "green") if event.green else ("✘ ", "red")
    said = ", ".join(counts) or ("green" if event.green else "red")
    summary = "" if event.green else f"\n  {clean(event.summary).strip()}"
    return Text.assemble((f"{mark}tests: {said}", f"bold {style}"), f" in {event.seconds:.1f} s", (summary, "dim"))


def _end(event: RunFinished) -> Text:
    usage = event.usage
    speed = f", {usage.decode_tps:.1f} tokens/s" if usage.decoded_tokens else ""
    loaded = f" ({usage.loaded_tokens:,} from disk)" if usage.loaded_tokens else ""
    cached = f"{usage.cached_tokens:,} cached{loaded}"
    tokens = f"{usage.prefilled_tokens:,} read, {cached}, {usage.decoded_tokens:,} written{speed}"
    ends = {
        RunEnd.DONE: "done",
        RunEnd.LIMIT: "stopped at a limit",
        RunEnd.CANCELLED: "interrupted",
        RunEnd.REPETITION: "stopped: the model repeated itself",
        RunEnd.ERROR: "ended by an error",
    }
    return Text(f"{ends[event.end]} after {event.seconds:.1f} s; tokens: {tokens}", "dim")
