"""A session's runs, seen through the events that it yields."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.events import (
    AgentEvent,
    FileChanged,
    RunEnd,
    RunFinished,
    TextStreamed,
    ToolFinished,
)
from agent.run import RunOptions
from agent.session import Session
from tests.fakes.scripted_model import Call, Scripted, ScriptedModel
from tests.fakes.sessions import FakeTool, Stage, collect
from tools.edit import EditTool
from tools.read import ReadTool
from tools.write import WriteTool


def finished(events: list[AgentEvent]) -> RunFinished:
    assert isinstance(events[-1], RunFinished)
    return events[-1]


def results(events: list[AgentEvent]) -> list[ToolFinished]:
    return [event for event in events if isinstance(event, ToolFinished)]


def run(session: Session, text: str = "go", options: RunOptions | None = None) -> list[AgentEvent]:
    return asyncio.run(collect(session.submit(text, options)))


def test_an_answer_without_calls_ends_the_run(tmp_path: Path) -> None:
    session = Stage(tmp_path).session(ScriptedModel([Scripted("All good.")]))
    events = run(session)
    assert "".join(event.text for event in events if isinstance(event, TextStreamed)) == "All good."
    assert finished(events).end is RunEnd.DONE
    assert finished(events).text == "All good."
    assert finished(events).turns == 1


def test_calls_are_carried_out_and_their_results_reach_the_model(tmp_path: Path) -> None:
    tool = FakeTool()
    model = ScriptedModel(
        [Scripted(calls=(Call("note", {"text": "one"}), Call("note", {"text": "two"}))), Scripted("Done.")]
    )
    events = run(Stage(tmp_path, [tool]).session(model))
    assert [each.text for each in tool.ran] == ["one", "two"]
    assert [entry.text for entry in model.conversations[0].entries if entry.kind == "tool"] == [
        "noted one",
        "noted two",
    ]
    assert finished(events).turns == 2


def test_an_edit_in_the_repository_is_announced_and_can_be_taken_back(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    calls = (
        Call("read", {"path": "a.py"}),
        Call("edit", {"path": "a.py", "edits": [{"old": "x = 1", "new": "x = 2"}]}),
        Call("write", {"path": "new/b.py", "content": "y = 1\n"}),
    )
    session = Stage(tmp_path, [ReadTool(), EditTool(), WriteTool()]).session(
        ScriptedModel([Scripted(calls=calls), Scripted("Done.")])
    )
    mark = session.checkpoint()
    events = run(session)
    assert not [each for each in results(events) if each.is_error]
    assert [event.path for event in events if isinstance(event, FileChanged)] == ["a.py", "new/b.py"]
    assert (tmp_path / "a.py").read_text() == "x = 2\n"
    assert [change.path for change in session.changes_since(mark)] == ["a.py", "new/b.py"]
    report = session.rewind_to(mark)
    assert report.restored == ("a.py", "new/b.py")
    assert (tmp_path / "a.py").read_text() == "x = 1\n"
    assert not (tmp_path / "new/b.py").exists()
    assert session.messages == ()
