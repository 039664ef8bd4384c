"""The fold: recorded events give the screen they gave before, and any events in any order give a sound state."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

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
from agent.messages import AssistantMessage, ToolCall, ToolResultMessage, Usage, UserMessage
from tests.tui.event_json import event_from_json
from tui.history_entries import with_messages
from tui.palette import PALETTES
from tui.presenter import fold
from tui.rendering.entries import EntryRenderer, Look
from tui.rendering.lines import plain
from tui.status_text import activity_line, status_line
from tui.view_state import Answer, CallState, Ended, Prompted, ToolCard, ViewState

GOLDEN = Path(__file__).parent.parent / "golden"
_DIRTY = [
    "\x1b[2J",
    "\x1b]52;c;QQ==\x07",
    "\u202e",
    "[/]",
    "[@click=app.quit]x[/]",
    "&#x202e;",
    "\r",
    "plain ",
    "```\n",
]
_TEXTS = st.lists(st.sampled_from(_DIRTY) | st.text(max_size=8), max_size=4).map("".join)
_IDS = st.sampled_from(["a", "b"])
_CALLS = st.builds(
    ToolCall, _IDS, _TEXTS, st.dictionaries(st.sampled_from(["path", "command", "x"]), _TEXTS, max_size=2)
)
_COUNTS = st.integers(0, 9)
_SECONDS = st.floats(0, 1e6)
_USAGES = st.builds(Usage, _COUNTS, _COUNTS, _COUNTS)
_MESSAGES = st.builds(AssistantMessage, _IDS, _TEXTS, _TEXTS, st.lists(_CALLS, max_size=2).map(tuple), usage=_USAGES)
_DIFFS = st.sampled_from(
    ["@@ -1,2 +1,1 @@ x\n a\n-b\x1b[0m\n+c\n\\ No newline at end of file\n", "", "Binary files differ\n"]
)
EVENTS: st.SearchStrategy[AgentEvent] = st.one_of(
    st.builds(SessionStarted, _IDS, _TEXTS, st.integers(0, 99_999), _TEXTS, st.just("plan"), st.just(())),
    st.builds(RunStarted, _IDS, _TEXTS),
    st.builds(TurnStarted, _COUNTS),
    st.builds(PrefillProgressed, _COUNTS, _COUNTS, _COUNTS, _SECONDS),
    st.builds(TextStreamed, _TEXTS),
    st.builds(ThoughtStreamed, _TEXTS),
    st.builds(ToolCallStreamed, _IDS, _TEXTS, _TEXTS),
    st.builds(TurnFinished, _MESSAGES, _COUNTS),
    st.builds(ApprovalRequested, _IDS, _CALLS, _TEXTS, _TEXTS | _DIFFS, st.none() | _TEXTS),
    st.builds(ApprovalAnswered, _IDS, st.sampled_from(["allow", "deny"]), _TEXTS),
    st.builds(ToolStarted, _CALLS, _TEXTS),
    st.builds(ToolOutputStreamed, _IDS, _TEXTS),
    st.builds(ToolFinished, _IDS, _TEXTS, _TEXTS, st.booleans(), _SECONDS),
    st.builds(FileChanged, _TEXTS, _DIFFS, _COUNTS, _COUNTS),
    st.builds(TodosChanged, st.lists(st.builds(TodoItem, _TEXTS, st.just("pending")), max_size=3).map(tuple)),
    st.builds(Steered, _IDS, _TEXTS),
    st.builds(RepetitionNoticed, _TEXTS, _COUNTS, st.booleans()),
    st.builds(CompactionFinished, _COUNTS, _COUNTS),
    st.builds(Notice, _TEXTS, st.booleans()),
    st.builds(RunFinished, st.sampled_from(RunEnd), _TEXTS, _COUNTS, _SECONDS, _USAGES),
    st.builds(TestsStarted, _TEXTS, _COUNTS),
    st.builds(TestsFinished, st.booleans(), st.none() | _COUNTS, st.none() | _COUNTS, _SECONDS, _TEXTS),
    st.builds(AttemptStarted, _COUNTS, _TEXTS),
)


def drawn(state: ViewState, width: int, *, expanded: bool = False) -> str:
    renderer = EntryRenderer(width, PALETTES["dark"])
    look = Look(expanded=expanded)
    return "\n".join(plain(line).rstrip() for entry in state.entries for line in renderer.lines(entry, look))


def texts_in(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for each in cast("dict[str, object]", value).values() for text in texts_in(each)]
        case list() | tuple():
            return [text for each in cast("list[object]", value) for text in texts_in(each)]
        case _:
            return []


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=25), st.integers(20, 160))
def test_events_in_any_order_give_a_clean_sound_and_drawable_state(events: list[AgentEvent], width: int) -> None:
    state = ViewState()
    for at, event in enumerate(events):
        before = state
        state = fold(state, event, float(at))
        assert fold(before, event, float(at)) == state, "the fold must be pure"
    for text in texts_in(asdict(state)):
        assert clean(text) == text
    keys = [entry.key for entry in state.entries]
    assert sorted(set(keys)) == keys
    if events and isinstance(events[-1], RunFinished):
        assert not state.running
        assert not state.approvals
        assert all(
            each.state not in (CallState.RUNNING, CallState.WAITING)
            for each in state.entries
            if isinstance(each, ToolCard)
        )
    for expanded in (False, True):
        text = drawn(state, width, expanded=expanded)
        assert clean(text) == text
    shown = (
        status_line(state.status, 10**9, PALETTES["light"], width).plain
        + activity_line(state, None, 99.0, PALETTES["light"], width).plain
    )
    assert clean(shown) == shown


def test_a_recorded_repair_gives_the_screen_that_it_gave() -> None:
    lines = (GOLDEN / "tui.events.jsonl").read_text(encoding="utf-8").splitlines()
    state = ViewState()
    for line in lines:
        record = json.loads(line)
        state = fold(state, event_from_json(record["event"]), record["at"])
    assert drawn(state, 80) + "\n" == (GOLDEN / "tui.screen.txt").read_text(encoding="utf-8")
    assert isinstance(state.entries[0], Prompted)
    assert isinstance(state.entries[-1], Ended)


def test_a_control_sequence_that_comes_in_pieces_leaves_nothing_behind() -> None:
    state = fold(ViewState(), RunStarted("m", "go"))
    for piece in ("safe \x1b", "]52;c;", "QUJD", "\x07 end"):
        state = fold(state, TextStreamed(piece))
    state = fold(state, TurnFinished(AssistantMessage("t", "safe \x1b]52;c;QUJD\x07 end"), 5))
    answer = state.entries[-1]
    assert isinstance(answer, Answer)
    assert answer.text == "safe  end"


def test_stored_messages_give_what_their_run_had_shown() -> None:
    messages = [
        UserMessage("m1", "look"),
        AssistantMessage("t1", "I read.", "hmm", (ToolCall("c1", "read", {"path": "a.py"}),)),
        ToolResultMessage("c1", "read", "one\ntwo"),
        AssistantMessage("t2", "Done.\x1b[2J"),
    ]
    state = with_messages(ViewState(), messages)
    assert [type(each).__name__ for each in state.entries] == ["Prompted", "Thought", "Answer", "ToolCard", "Answer"]
    assert "✔ read a.py" in drawn(state, 60)
    assert "2 lines" in drawn(state, 60)
    assert drawn(state, 60).endswith("Done.")
