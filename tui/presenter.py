"""A pure fold: ViewState and one AgentEvent give the next ViewState; all foreign text is cleaned here.

It draws nothing and asks no clock: the time of an event is given with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from agent.clean import clean
from agent.events import (
    AgentEvent,
    ApprovalAnswered,
    ApprovalRequested,
    AttemptStarted,
    CompactionFinished,
    FileChanged,
    Notice,
    PrefillProgressed,
    RepetitionNoticed,
    RunEnd,
    RunFinished,
    RunStarted,
    SessionStarted,
    Steered,
    TestsFinished,
    TestsStarted,
    TextStreamed,
    ThoughtStreamed,
    TodoItem,
    TodosChanged,
    ToolCallStreamed,
    ToolFinished,
    ToolOutputStreamed,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from agent.visible import visible
from tui.view_state import (
    Answer,
    Approval,
    CallState,
    Ended,
    Entry,
    FileDiff,
    Note,
    Pending,
    Phase,
    Prefill,
    Prompted,
    TestRun,
    Thought,
    ToolCard,
    ViewState,
)

KEPT_OUTPUT = 20_000  # characters of live output; the whole goes to the model, the screen shows the end
_OPEN = frozenset({CallState.WRITING, CallState.WAITING, CallState.RUNNING})
_ENDS = {
    RunEnd.DONE: "",
    RunEnd.CANCELLED: "interrupted",
    RunEnd.LIMIT: "stopped at a limit",
    RunEnd.REPETITION: "stopped: the model repeated itself",
    RunEnd.ERROR: "ended by an error",
}

E = TypeVar("E", Prompted, Answer, Thought, ToolCard, TestRun, Note, Ended)


def fold(state: ViewState, event: AgentEvent, at: float = 0.0) -> ViewState:
    """The state after an event that came at ``at`` seconds on any clock that only goes forward."""
    match event:
        case TextStreamed() | ThoughtStreamed() | ToolCallStreamed():
            return _streamed(state, event, at)
        case ToolStarted() | ToolOutputStreamed() | ToolFinished() | FileChanged():
            return _tool(state, event, at)
        case ApprovalRequested() | ApprovalAnswered():
            return _approval(state, event)
        case TestsStarted() | TestsFinished() | AttemptStarted():
            return _fix(state, event)
        case SessionStarted() | RunStarted() | TurnStarted() | PrefillProgressed() | TurnFinished() | RunFinished():
            return _run(state, event, at)
        case TodosChanged():
            return replace(state, todos=tuple(TodoItem(clean(item.text), item.status) for item in event.items))
        case Steered():
            waiting = tuple(each for each in state.pending if each.id != event.message_id)
            shown = Prompted(state.next_key, event.message_id, clean(event.text), steered=True)
            return _with_entry(replace(_closed(state, at), pending=waiting), shown)
        case RepetitionNoticed():
            end = ", so the run was stopped" if event.stopped else ""
            return note(state, f"{event.name} was called {event.count} times in a row{end}.")
        case CompactionFinished():
            said = f"Context compacted: {event.before:,} to {event.after:,} tokens."
            return note(_status(state, context_used=event.after), said, quiet=True)
        case Notice():
            return note(state, event.text, is_error=event.is_error)


def note(state: ViewState, text: str, *, is_error: bool = False, quiet: bool = False) -> ViewState:
    """The state with one more sentence for the user."""
    return _with_entry(state, Note(state.next_key, clean(text), is_error, quiet))


def with_mode(state: ViewState, mode: str) -> ViewState:
    """The state in another mode."""
    return _status(state, mode=mode)


def with_pending(state: ViewState, *pending: Pending) -> ViewState:
    """The state with these messages waiting, and no others."""
    return replace(state, pending=tuple(replace(each, text=clean(each.text)) for each in pending))


def _run(
    state: ViewState,
    event: SessionStarted | RunStarted | TurnStarted | PrefillProgressed | TurnFinished | RunFinished,
    at: float,
) -> ViewState:
    match event:
        case SessionStarted():
            return _status(
                state,
                session_id=clean(event.session_id),
                model=clean(event.model),
                context_tokens=event.context_tokens,
                cwd=clean(event.cwd),
                mode=event.mode,
            )
        case RunStarted():
            state = _status(replace(state, running=True), phase=Phase.STARTING, run_since=at, turn=0, prefill=None)
            return _with_entry(state, Prompted(state.next_key, event.message_id, clean(event.text)))
        case TurnStarted():
            return _status(state, turn=event.turn, phase=Phase.STARTING, prefill=None, pieces=0)
        case PrefillProgressed():
            prefill = Prefill(event.done, event.total, event.cached, event.seconds_left, at)
            return _status(state, phase=Phase.PREFILL, prefill=prefill, pieces=0)
        case TurnFinished():
            return _turn_finished(state, event, at)
        case RunFinished():
            return _run_finished(state, event, at)


def _streamed(state: ViewState, event: TextStreamed | ThoughtStreamed | ToolCallStreamed, at: float) -> ViewState:
    status = state.status
    since = at if status.phase is not Phase.DECODE else status.decode_since
    pieces = 1 if status.phase is not Phase.DECODE else status.pieces + 1
    state = _status(state, phase=Phase.DECODE, pieces=pieces, decode_since=since, latest=at)
    last = state.entries[-1] if state.entries else None
    match event:
        case ThoughtStreamed():
            if isinstance(last, Thought) and not last.done:
                return _with_last(state, replace(last, text=last.text + clean(event.text)))
            return _with_entry(_closed(state, at), Thought(state.next_key, clean(event.text), at))
        case TextStreamed():
            if isinstance(last, Answer) and not last.done:
                return _with_last(state, replace(last, text=last.text + clean(event.text)))
            return _with_entry(_closed(state, at), Answer(state.next_key, clean(event.text)))
        case ToolCallStreamed():
            if isinstance(last, ToolCard) and last.call_id == event.call_id and last.state is CallState.WRITING:
                return _with_last(state, replace(last, raw=last.raw + clean(event.text)))
            card = ToolCard(state.next_key, event.call_id, clean(event.name), CallState.WRITING, raw=clean(event.text))
            return _with_entry(_closed(state, at), card)


def _turn_finished(state: ViewState, event: TurnFinished, at: float) -> ViewState:
    text = clean(event.message.text)
    last = next((each for each in reversed(state.entries) if isinstance(each, Answer | Prompted)), None)
    if isinstance(last, Answer) and not last.done:
        # A control sequence that came in two pieces is only recognised whole.
        state = _with_replaced(state, replace(last, text=text or last.text))
    state = _closed(state, at)
    for call in event.message.tool_calls:
        if _card(state, call.id) is None:
            card = ToolCard(state.next_key, call.id, clean(call.name), CallState.WRITING)
            state = _with_entry(state, card)
    usage = event.message.usage
    total = state.status.total + usage
    return _status(
        state, context_used=event.context_used, last=usage, total=total, prefill=None, phase=Phase.STARTING, pieces=0
    )


def _run_finished(state: ViewState, event: RunFinished, at: float) -> ViewState:
    state = _closed(state, at)
    entries = tuple(
        replace(each, state=CallState.STOPPED) if isinstance(each, ToolCard) and each.state in _OPEN else each
        for each in state.entries
    )
    state = replace(state, entries=entries, running=False, approvals=())
    state = _status(state, phase=Phase.IDLE, prefill=None, pieces=0)
    return _with_entry(state, Ended(state.next_key, _ENDS[event.end], event.seconds, event.usage))


def _approval(state: ViewState, event: ApprovalRequested | ApprovalAnswered) -> ViewState:
    if isinstance(event, ApprovalRequested):
        asked = Approval(
            event.request_id,
            event.call.id,
            clean(event.call.name),
            clean(str(event.call.arguments.get("path", ""))),
            clean(event.reason),
            clean(visible(event.preview)),
            is_command="command" in event.call.arguments,
            remember=None if event.remember is None else clean(event.remember),
            warnings=tuple(clean(each) for each in event.warnings),
        )
        state = _status(replace(state, approvals=(*state.approvals, asked)), phase=Phase.ASKING)
        card = _card(state, event.call.id)
        return state if card is None else _with_replaced(state, replace(card, state=CallState.WAITING))
    answered = next((each for each in state.approvals if each.request_id == event.request_id), None)
    rest = tuple(each for each in state.approvals if each.request_id != event.request_id)
    state = replace(state, approvals=rest)
    card = None if answered is None else _card(state, answered.call_id)
    if card is None or event.decision != "deny":
        return state
    return _with_replaced(state, replace(card, state=CallState.DENIED, note=clean(event.note)))


def _tool(
    state: ViewState, event: ToolStarted | ToolOutputStreamed | ToolFinished | FileChanged, at: float
) -> ViewState:
    match event:
        case ToolStarted():
            card = _card(state, event.call.id)
            if card is None:
                card = ToolCard(state.next_key, event.call.id, clean(event.call.name), CallState.RUNNING)
                state = _with_entry(state, card)
            running = replace(card, state=CallState.RUNNING, summary=clean(event.summary), began=at)
            return _status(_with_replaced(state, running), phase=Phase.TOOL)
        case ToolOutputStreamed():
            card = _card(state, event.call_id)
            if card is None:
                return state
            return _with_replaced(state, replace(card, output=(card.output + clean(event.text))[-KEPT_OUTPUT:]))
        case ToolFinished():
            return _tool_finished(state, event)
        case FileChanged():
            diff = FileDiff(clean(event.path), clean(event.diff), event.added, event.removed)
            card = next((each for each in reversed(state.entries) if isinstance(each, ToolCard)), None)
            if card is None or card.state is not CallState.DONE:
                card = ToolCard(state.next_key, "", "change", CallState.DONE, summary=diff.path)
                state = _with_entry(state, card)
            return _with_replaced(state, replace(card, diffs=(*card.diffs, diff)))


def _tool_finished(state: ViewState, event: ToolFinished) -> ViewState:
    card = _card(state, event.call_id)
    if card is None:
        card = ToolCard(state.next_key, event.call_id, clean(event.name), CallState.RUNNING)
        state = _with_entry(state, card)
    how = CallState.FAILED if event.is_error else CallState.DONE
    how = CallState.DENIED if card.state is CallState.DENIED else how
    done = replace(card, state=how, result=clean(event.text), seconds=event.seconds)
    return _status(_with_replaced(state, done), phase=Phase.STARTING if state.running else Phase.IDLE)


def _fix(state: ViewState, event: TestsStarted | TestsFinished | AttemptStarted) -> ViewState:
    match event:
        case TestsStarted():
            return _with_entry(_status(state, phase=Phase.TESTS), TestRun(state.next_key, clean(event.command)))
        case TestsFinished():
            counts = [f"{event.passed} passed"] if event.passed is not None else []
            counts += [f"{event.failed} failed"] if event.failed else []
            said = ", ".join(counts) or ("green" if event.green else "red")
            run = next((each for each in reversed(state.entries) if isinstance(each, TestRun)), None)
            if run is None or run.green is not None:
                run = TestRun(state.next_key, "tests")
                state = _with_entry(state, run)
            done = replace(run, green=event.green, said=said, summary=clean(event.summary), seconds=event.seconds)
            return _with_replaced(_status(state, phase=Phase.STARTING if state.running else Phase.IDLE), done)
        case AttemptStarted():
            return note(state, f"Attempt {event.attempt}: {event.strategy}", quiet=True)


def _closed(state: ViewState, at: float) -> ViewState:
    """The state with the text or thought that is being written marked as done."""
    last = state.entries[-1] if state.entries else None
    match last:
        case Thought(done=False):
            return _with_last(state, replace(last, done=True, seconds=max(0.0, at - last.began)))
        case Answer(done=False):
            return _with_last(state, replace(last, done=True))
        case _:
            return state


def _card(state: ViewState, call_id: str) -> ToolCard | None:
    """The latest card of a call."""
    return next(
        (each for each in reversed(state.entries) if isinstance(each, ToolCard) and each.call_id == call_id), None
    )


def _with_entry(state: ViewState, entry: Entry) -> ViewState:
    return replace(state, entries=(*state.entries, entry), next_key=state.next_key + 1)


def _with_last(state: ViewState, entry: Entry) -> ViewState:
    return replace(state, entries=(*state.entries[:-1], entry))


def _with_replaced(state: ViewState, entry: Entry) -> ViewState:
    """The state with the entry of the same key exchanged; it is near the end."""
    entries = list(state.entries)
    for at in range(len(entries) - 1, -1, -1):
        if entries[at].key == entry.key:
            entries[at] = entry
            break
    return replace(state, entries=tuple(entries))


def _status(state: ViewState, **changes: object) -> ViewState:
    return replace(state, status=replace(state.status, **changes))  # pyright: ignore[reportArgumentType]
