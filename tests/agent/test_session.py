"""A session's runs, seen through the events that it yields."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.errors import StoreError, UsageError
from agent.events import (
    AgentEvent,
    ApprovalAnswered,
    ApprovalRequested,
    CompactionFinished,
    FileChanged,
    Notice,
    RepetitionNoticed,
    RunEnd,
    RunFinished,
    RunStarted,
    Steered,
    TextStreamed,
    ToolFinished,
    ToolOutputStreamed,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from agent.messages import AssistantMessage, Message, StopReason, ToolCall, UserMessage
from agent.model import ResponseOptions
from agent.permissions import Decision, Mode, Protected, Rules
from agent.run import Limits, RunOptions
from agent.session import Session
from agent.transcript import Snapshot
from inference.errors import ContextOverflow, DecodeFailed
from tests.fakes.scripted_model import Call, Script, Scripted, ScriptedModel
from tests.fakes.sessions import FakeTool, Stage, collect
from tools.base import Effect
from tools.edit import EditTool
from tools.read import ReadTool
from tools.write import WriteTool

NOTE = Call("note", {"text": "one"})


def finished(events: list[AgentEvent]) -> RunFinished:
    assert isinstance(events[-1], RunFinished)
    return events[-1]


def results(events: list[AgentEvent]) -> list[ToolFinished]:
    return [event for event in events if isinstance(event, ToolFinished)]


def run(session: Session, text: str = "go", options: RunOptions | None = None) -> list[AgentEvent]:
    return asyncio.run(collect(session.submit(text, options)))


def read_by_model(model: ScriptedModel, kind: str, conversation: int = 0) -> list[str]:
    return [entry.text for entry in model.conversations[conversation].entries if entry.kind == kind]


def edit(path: str, old: str, new: str) -> Call:
    return Call("edit", {"path": path, "replacements": [{"find": old, "replace": new}]})


def test_an_answer_without_calls_ends_the_run(tmp_path: Path) -> None:
    events = run(Stage(tmp_path).session(ScriptedModel([Scripted("All good.")])))
    assert "".join(event.text for event in events if isinstance(event, TextStreamed)) == "All good."
    assert isinstance(events[0], RunStarted)
    assert finished(events).end is RunEnd.DONE
    assert finished(events).text == "All good."
    assert finished(events).turns == 1


def test_calls_are_carried_out_and_their_results_reach_the_model(tmp_path: Path) -> None:
    tool = FakeTool()
    model = ScriptedModel([Scripted(calls=(NOTE, Call("note", {"text": "two"}))), Scripted("Done.")])
    events = run(Stage(tmp_path, [tool]).session(model))
    assert [each.text for each in tool.ran] == ["one", "two"]
    assert read_by_model(model, "tool") == ["noted one", "noted two"]
    assert [event.text for event in events if isinstance(event, ToolOutputStreamed)] == ["live", "live"]
    assert finished(events).turns == 2


def test_usage_is_added_up_over_the_turns(tmp_path: Path) -> None:
    events = run(
        Stage(tmp_path, [FakeTool()]).session(ScriptedModel([Scripted("ab" * 8, calls=(NOTE,)), Scripted("x")]))
    )
    turns = [event.message.usage.decoded_tokens for event in events if isinstance(event, TurnFinished)]
    assert len(turns) == 2
    assert finished(events).usage.decoded_tokens == sum(turns) > 0


def test_a_failing_tool_becomes_a_result_and_the_run_goes_on(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted(calls=(NOTE,)), Scripted("Sorry.")])
    events = run(Stage(tmp_path, [FakeTool(fault=RuntimeError("a bug"))]).session(model))
    assert results(events)[0].is_error
    assert "Internal error" in results(events)[0].text
    assert [event.is_error for event in events if isinstance(event, Notice)] == [True]
    assert finished(events).end is RunEnd.DONE


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (Call("nota", {"text": "x"}), "Did you mean note?"),
        (Call("frobnicate", {}), "The tools are: note."),
        (Call("note", {}), "text is missing"),
        (Call("note", {"text": "x", "times": "many"}), "times: input should be a valid integer"),
        (Call("note", {"text": "x", "colour": "red"}), "colour is not an argument"),
        (Call("note", {}, error="an unclosed string"), "an unclosed string"),
    ],
)
def test_a_wrong_call_is_answered_with_what_would_be_right(tmp_path: Path, call: Call, says: str) -> None:
    tool = FakeTool()
    model = ScriptedModel([Scripted(calls=(call,)), Scripted("Ah.")])
    events = run(Stage(tmp_path, [tool]).session(model))
    assert says in read_by_model(model, "tool")[0]
    assert results(events)[0].is_error
    assert not tool.ran


def test_a_third_equal_call_warns_the_model_and_a_fifth_ends_the_run(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted(calls=(NOTE,)) for _ in range(9)])
    events = run(Stage(tmp_path, [FakeTool()]).session(model))
    noticed = [event for event in events if isinstance(event, RepetitionNoticed)]
    assert [(event.count, event.stopped) for event in noticed] == [(3, False), (4, False), (5, True)]
    assert "call number 3" in read_by_model(model, "tool")[2]
    assert finished(events).end is RunEnd.REPETITION
    assert finished(events).turns == 5


def test_two_calls_in_turn_with_the_same_results_are_a_loop_too(tmp_path: Path) -> None:
    turns = [Scripted(calls=(Call("note", {"text": name}),)) for name in "ababababab"]
    events = run(Stage(tmp_path, [FakeTool()]).session(ScriptedModel([*turns, Scripted("x")])))
    assert finished(events).end is RunEnd.REPETITION


def test_different_calls_are_no_repetition(tmp_path: Path) -> None:
    turns = [Scripted(calls=(Call("note", {"text": str(number)}),)) for number in range(8)]
    events = run(Stage(tmp_path, [FakeTool()]).session(ScriptedModel([*turns, Scripted("done")])))
    assert not [event for event in events if isinstance(event, RepetitionNoticed)]
    assert finished(events).end is RunEnd.DONE


def test_the_limit_of_turns_ends_the_run_with_its_results_delivered(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted(calls=(NOTE,)), Scripted("never asked")])
    session = Stage(tmp_path, [FakeTool()]).session(model)
    events = run(session, options=RunOptions(Limits(turns=1)))
    assert finished(events).end is RunEnd.LIMIT
    assert read_by_model(model, "tool") == ["noted one"]
    assert finished(run(session, "more")).text == "never asked"


def test_the_limit_of_failures_counts_turns_in_a_row_in_which_nothing_succeeded(tmp_path: Path) -> None:
    wrong = [Scripted(calls=(Call("missing", {"number": number}),)) for number in range(4)]
    half = Scripted(calls=(Call("missing"), NOTE))
    model = ScriptedModel([wrong[0], half, *wrong[1:3], Scripted("never asked")])
    events = run(Stage(tmp_path, [FakeTool()]).session(model), options=RunOptions(Limits(failures=2)))
    assert finished(events).end is RunEnd.LIMIT
    assert model.responses_left == 1


def test_the_limit_of_tokens_shortens_the_response_and_ends_the_run(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted("x" * 40, calls=(NOTE,)), Scripted("never asked")])
    options = RunOptions(Limits(tokens=10), ResponseOptions(max_tokens=100))
    events = run(Stage(tmp_path, [FakeTool()]).session(model), options=options)
    assert model.conversations[0].asked[0].max_tokens == 10
    assert finished(events).end is RunEnd.LIMIT


def test_the_limit_of_seconds_stops_a_response_in_the_middle(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted("never", gate=asyncio.Event())])
    events = run(Stage(tmp_path).session(model), options=RunOptions(Limits(seconds=0.05)))
    assert finished(events).end is RunEnd.LIMIT


def test_a_response_cut_off_by_its_length_is_said_aloud(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted("half an ans", stop_reason=StopReason.LENGTH)])
    events = run(Stage(tmp_path).session(model))
    assert finished(events).end is RunEnd.LIMIT
    assert [event for event in events if isinstance(event, Notice) and "cut off" in event.text]


def test_turns_draw_with_different_seeds_and_the_first_may_have_its_own_options(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted(calls=(NOTE,)), Scripted("Done.")])
    first = ResponseOptions(tool_choice="required", tool_name="note", seed=7)
    run(
        Stage(tmp_path, [FakeTool()]).session(model),
        options=RunOptions(response=ResponseOptions(seed=7), first_response=first),
    )
    asked = model.conversations[0].asked
    assert [options.tool_choice for options in asked] == ["required", "auto"]
    assert asked[0].seed != asked[1].seed


async def _cancel_when(session: Session, kind: type[AgentEvent]) -> list[AgentEvent]:
    events: list[AgentEvent] = []
    async for event in session.submit("go"):
        events.append(event)
        if isinstance(event, kind):
            session.cancel()
    return events


def test_cancelling_a_response_keeps_what_was_written_and_the_session_goes_on(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted("one two three four", pieces=4), Scripted("Again.")])
    session = Stage(tmp_path).session(model)

    async def scenario() -> None:
        events = await _cancel_when(session, TextStreamed)
        assert finished(events).end is RunEnd.CANCELLED
        partial = session.messages[-1]
        assert isinstance(partial, AssistantMessage)
        assert partial.stop_reason is StopReason.CANCELLED
        assert "one two three four".startswith(partial.text)
        assert partial.text
        assert finished(await collect(session.submit("go on"))).text == "Again."

    asyncio.run(scenario())


def test_cancelling_a_tool_lets_it_hand_over_and_answers_the_calls_left_out(tmp_path: Path) -> None:
    tool = FakeTool(gate=asyncio.Event())
    model = ScriptedModel([Scripted(calls=(NOTE, Call("note", {"text": "two"}))), Scripted("Fine.")])
    session = Stage(tmp_path, [tool]).session(model)

    async def scenario() -> None:
        events = await _cancel_when(session, ToolOutputStreamed)
        assert finished(events).end is RunEnd.CANCELLED
        told = read_by_model(model, "tool")
        assert told[0] == "stopped half-way"
        assert "interrupted" in told[1]
        assert len(tool.ran) == 1
        assert finished(await collect(session.submit("go on"))).end is RunEnd.DONE

    asyncio.run(scenario())


def test_closing_the_stream_of_events_cancels_the_run(tmp_path: Path) -> None:
    session = Stage(tmp_path).session(ScriptedModel([Scripted("text", gate=asyncio.Event())]))

    async def scenario() -> None:
        stream = session.submit("go")
        async for event in stream:
            if isinstance(event, TurnStarted):
                break
        await stream.aclose()
        assert not session.running

    asyncio.run(scenario())


def test_the_session_is_idle_as_soon_as_the_run_has_finished(tmp_path: Path) -> None:
    session = Stage(tmp_path).session(ScriptedModel([Scripted("one"), Scripted("two")]))

    async def scenario() -> None:
        mark = session.checkpoint()
        async for event in session.submit("go"):
            if isinstance(event, RunFinished):
                break
        session.rewind_to(mark)
        assert finished(await collect(session.submit("again"))).text == "two"

    asyncio.run(scenario())


class FailingLog:
    """A log on a disk that is full after ``room`` writes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def append(self, messages: Sequence[Message], positions: Sequence[int], snapshot: Snapshot) -> None:
        self.room -= 1
        if self.room < 0:
            raise StoreError("The disk is full.")

    def truncate(self, count: int, snapshot: Snapshot) -> None:
        self.append([], [], snapshot)


def test_a_store_that_fails_in_the_middle_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    session = Stage(tmp_path, [FakeTool()], log=FailingLog(2)).session(
        ScriptedModel([Scripted(calls=(NOTE,)), Scripted("Done."), Scripted("More.")])
    )
    events = run(session)
    assert finished(events).end is RunEnd.DONE
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "The disk is full. This session is no longer kept."
    ]
    assert not [event for event in run(session) if isinstance(event, Notice)]


def test_a_journal_that_fails_prevents_the_edit_and_says_why(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted(calls=(NOTE,)), Scripted("Pity.")])
    tool = FakeTool(fault=StoreError("The change journal is full."))
    events = run(Stage(tmp_path, [tool]).session(model))
    assert read_by_model(model, "tool") == ["The change was not made: The change journal is full."]
    assert [event.is_error for event in events if isinstance(event, Notice)] == [True]


def test_a_second_run_at_the_same_time_is_refused(tmp_path: Path) -> None:
    session = Stage(tmp_path).session(ScriptedModel([Scripted("one")]))

    async def scenario() -> None:
        async for event in session.submit("go"):
            if isinstance(event, TurnStarted):
                with pytest.raises(UsageError):
                    await collect(session.submit("again"))
                with pytest.raises(UsageError):
                    session.undo()

    asyncio.run(scenario())


def test_steering_reaches_the_model_with_the_next_turn(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted(calls=(NOTE,)), Scripted("As you wish.")])
    session = Stage(tmp_path, [FakeTool()]).session(model)

    async def scenario() -> list[AgentEvent]:
        events: list[AgentEvent] = []
        async for event in session.submit("go"):
            events.append(event)
            if isinstance(event, ToolStarted):
                session.steer("use less sugar")
        return events

    events = asyncio.run(scenario())
    assert [event.text for event in events if isinstance(event, Steered)] == ["use less sugar"]
    assert [entry.kind for entry in model.conversations[0].entries] == [
        "system",
        "user",
        "assistant",
        "tool",
        "user",
        "assistant",
    ]


def test_a_message_that_comes_with_the_final_answer_starts_another_turn(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted("Done."), Scripted("That too.")])
    session = Stage(tmp_path).session(model)

    async def scenario() -> list[AgentEvent]:
        events: list[AgentEvent] = []
        async for event in session.submit("go"):
            events.append(event)
            if isinstance(event, TurnStarted) and event.turn == 1:
                session.steer("and that")
        return events

    assert finished(asyncio.run(scenario())).text == "That too."


def test_what_the_engine_cannot_do_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted("half", raises=DecodeFailed("llama.cpp failed; try again.")), Scripted("Better.")])
    session = Stage(tmp_path).session(model)
    events = run(session)
    assert finished(events).end is RunEnd.ERROR
    assert [event.text for event in events if isinstance(event, Notice)] == ["llama.cpp failed; try again."]
    assert finished(run(session)).text == "Better."


async def _answering(session: Session, decision: Decision, note: str = "") -> list[AgentEvent]:
    events: list[AgentEvent] = []
    async for event in session.submit("go"):
        events.append(event)
        if isinstance(event, ApprovalRequested):
            assert session.answer(event.request_id, decision, note)
            assert not session.answer(event.request_id, decision, note)
    return events


def _asking_stage(root: Path, tool: FakeTool) -> Stage:
    return Stage(root, [tool], mode=Mode.DEFAULT, interactive=True)


def test_an_approved_call_runs(tmp_path: Path) -> None:
    tool = FakeTool(effect=Effect.WRITE)
    session = _asking_stage(tmp_path, tool).session(ScriptedModel([Scripted(calls=(NOTE,)), Scripted("ok")]))
    events = asyncio.run(_answering(session, Decision.ALLOW))
    assert len(tool.ran) == 1
    assert [event.decision for event in events if isinstance(event, ApprovalAnswered)] == ["allow"]


def test_a_refused_call_does_not_run_and_the_model_reads_why(tmp_path: Path) -> None:
    tool = FakeTool(effect=Effect.WRITE)
    model = ScriptedModel([Scripted(calls=(NOTE,)), Scripted("ok")])
    asyncio.run(_answering(_asking_stage(tmp_path, tool).session(model), Decision.DENY, "not that file"))
    assert not tool.ran
    assert "not that file" in read_by_model(model, "tool")[0]


def test_an_approval_for_the_session_is_asked_once(tmp_path: Path) -> None:
    tool = FakeTool(effect=Effect.WRITE)
    calls = (NOTE, Call("note", {"text": "two"}))
    session = _asking_stage(tmp_path, tool).session(ScriptedModel([Scripted(calls=calls), Scripted("ok")]))
    events = asyncio.run(_answering(session, Decision.ALLOW_SESSION))
    assert len(tool.ran) == 2
    assert len([event for event in events if isinstance(event, ApprovalRequested)]) == 1


def test_where_nobody_can_answer_a_question_is_a_refusal_that_says_so(tmp_path: Path) -> None:
    tool = FakeTool(effect=Effect.WRITE)
    model = ScriptedModel([Scripted(calls=(NOTE,)), Scripted("ok")])
    run(Stage(tmp_path, [tool], mode=Mode.DEFAULT).session(model))
    assert not tool.ran
    assert "nobody is here to approve it" in read_by_model(model, "tool")[0]


def test_cancelling_while_a_question_is_open_refuses_the_call(tmp_path: Path) -> None:
    tool = FakeTool(effect=Effect.WRITE)
    session = _asking_stage(tmp_path, tool).session(ScriptedModel([Scripted(calls=(NOTE,))]))
    events = asyncio.run(_cancel_when(session, ApprovalRequested))
    assert finished(events).end is RunEnd.CANCELLED
    assert not tool.ran


def test_an_edit_in_the_repository_is_announced_and_can_be_taken_back(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    calls = (
        Call("read", {"path": "a.py"}),
        edit("a.py", "x = 1", "x = 2"),
        Call("write", {"path": "new/b.py", "content": "y = 1\n"}),
    )
    stage = Stage(tmp_path, [ReadTool(), EditTool(), WriteTool()])
    session = stage.session(ScriptedModel([Scripted(calls=calls), Scripted("Done.")]))
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


def test_rewinding_to_a_message_restores_files_and_conversation_to_before_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    look = Call("read", {"path": "a.py"})
    script: list[Script] = [
        Scripted(calls=(look, edit("a.py", "x = 1", "x = 2"))),
        Scripted("First."),
        Scripted(calls=(edit("a.py", "x = 2", "x = 3"),)),
        Scripted("Second."),
    ]
    model = ScriptedModel(script)
    session = Stage(tmp_path, [ReadTool(), EditTool()]).session(model)
    run(session, "first")
    run(session, "second")
    second = [message for message in session.messages if isinstance(message, UserMessage)][1]
    assert session.rewind(second.id).restored == ("a.py",)
    assert (tmp_path / "a.py").read_text() == "x = 2\n"
    assert read_by_model(model, "user") == ["first"]
    with pytest.raises(UsageError):
        session.rewind(second.id)


def test_undo_refuses_and_changes_nothing_where_someone_else_edited_since(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.py").write_text("y = 1\n")
    calls = (
        Call("read", {"path": "a.py"}),
        Call("read", {"path": "b.py"}),
        edit("a.py", "x = 1", "x = 2"),
        edit("b.py", "y = 1", "y = 2"),
    )
    session = Stage(tmp_path, [ReadTool(), EditTool()]).session(
        ScriptedModel([Scripted(calls=calls), Scripted("Done.")])
    )
    run(session)
    (tmp_path / "b.py").write_text("y = 99\n")
    report = session.undo()
    assert report.refused == (("b.py", "was changed since by someone else"),)
    assert "b.py" in report.sentence()
    assert (tmp_path / "a.py").read_text() == "x = 2\n"
    assert (tmp_path / "b.py").read_text() == "y = 99\n"


def test_after_a_rewind_of_files_the_model_must_read_before_it_edits(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    again = edit("a.py", "x = 1", "x = 3")
    script = [Scripted(calls=(Call("read", {"path": "a.py"}), edit("a.py", "x = 1", "x = 2"))), Scripted("Done.")]
    model = ScriptedModel([*script, Scripted(calls=(again,)), Scripted("Hm.")])
    session = Stage(tmp_path, [ReadTool(), EditTool()]).session(model)
    run(session)
    session.undo()
    events = run(session)
    assert results(events)[0].is_error
    assert (tmp_path / "a.py").read_text() == "x = 1\n"


def test_protected_files_are_not_written_in_any_mode_nor_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("assert True\n")
    (tmp_path / "alias.py").symlink_to("tests/test_a.py")
    names = ["tests/test_a.py", "./src/../tests/test_a.py", "alias.py", str(tmp_path / "tests/test_a.py")]
    calls = [Call("read", {"path": "tests/test_a.py"})] + [edit(name, "True", "False") for name in names]
    rules = Rules(protected=(Protected("tests", "they are the judge"),))
    session = Stage(tmp_path, [ReadTool(), EditTool()], rules=rules).session(
        ScriptedModel([Scripted(calls=tuple(calls)), Scripted("Done.")])
    )
    answers = results(run(session))[1:]
    assert all(each.is_error and "the judge" in each.text for each in answers)
    assert (tmp_path / "tests/test_a.py").read_text() == "assert True\n"


def test_run_tool_goes_the_same_way_as_a_call_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    session = Stage(tmp_path, [ReadTool(), EditTool()]).session(ScriptedModel([]))
    mark = session.checkpoint()
    events: list[AgentEvent] = []

    async def scenario() -> None:
        await session.run_tool(ToolCall("1", "read", {"path": "a.py"}), events.append)
        call = ToolCall("2", "edit", {"path": "a.py", "replacements": [{"find": "1", "replace": "2"}]})
        result = await session.run_tool(call, events.append)
        assert not result.is_error

    asyncio.run(scenario())
    assert [event.path for event in events if isinstance(event, FileChanged)] == ["a.py"]
    assert session.rewind_to(mark).restored == ("a.py",)


def test_the_preface_and_added_context_stand_before_the_first_message_only(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted("one"), Scripted("two")])
    session = Stage(tmp_path, preface="PREFACE ").session(model)
    session.add_context("CONTEXT")
    run(session, "first")
    run(session, "second")
    assert read_by_model(model, "user") == ["PREFACE CONTEXT\n\nfirst", "second"]


def test_a_full_context_is_compacted_and_the_run_goes_on(tmp_path: Path) -> None:
    script: list[Script] = [Scripted("x" * 3000, calls=(Call("note", {"text": str(number)}),)) for number in range(3)]
    model = ScriptedModel([*script, Scripted("SUMMARY of it"), Scripted("Finished.")], context_tokens=3000)
    session = Stage(tmp_path, [FakeTool()], preface="PREFACE ").session(model)
    events = run(session, "count to three")
    compactions = [event for event in events if isinstance(event, CompactionFinished)]
    assert len(compactions) == 1
    assert compactions[0].after < compactions[0].before
    assert session.token_count < 3000
    assert finished(events).text == "Finished."
    (told,) = read_by_model(model, "user", conversation=-1)
    assert told.startswith("PREFACE ")
    assert "SUMMARY of it" in told
    assert "count to three" in told
    assert len([message for message in session.messages if isinstance(message, AssistantMessage)]) == 4


def test_a_summary_that_cannot_be_made_is_replaced_by_the_plain_record(tmp_path: Path) -> None:
    script: list[Script] = [
        Scripted("word " * 600, calls=(Call("note", {"text": str(number)}),)) for number in range(3)
    ]
    failing = Scripted("", raises=DecodeFailed("out of order."))
    model = ScriptedModel([*script, failing, Scripted("Finished.")], context_tokens=3000)
    events = run(Stage(tmp_path, [FakeTool()]).session(model))
    assert [event for event in events if isinstance(event, CompactionFinished)]
    assert finished(events).end is RunEnd.DONE


def test_an_overflow_that_was_not_foreseen_is_compacted_once(tmp_path: Path) -> None:
    def overflowing(_: object) -> Scripted:
        return Scripted("", raises=ContextOverflow(5000, 4000))

    model = ScriptedModel(
        [Scripted("x" * 4000), overflowing, Scripted("SUMMARY"), Scripted("Fits now.")], context_tokens=8000
    )
    session = Stage(tmp_path).session(model)
    run(session, "long story")
    assert finished(run(session, "and?")).text == "Fits now."
    model = ScriptedModel([Scripted("x" * 4000), overflowing, Scripted("SUMMARY"), overflowing], context_tokens=8000)
    session = Stage(tmp_path).session(model)
    run(session, "long story")
    assert finished(run(session, "and?")).end is RunEnd.ERROR


def test_a_rewind_goes_back_across_a_compaction(tmp_path: Path) -> None:
    model = ScriptedModel([Scripted("x" * 4000), Scripted("SUMMARY"), Scripted("later")], context_tokens=8000)
    session = Stage(tmp_path).session(model)
    run(session, "first")
    before = session.token_count
    asyncio.run(collect(session.compact()))
    assert session.token_count < before
    run(session, "second")
    first = session.messages[0]
    assert isinstance(first, UserMessage)
    session.rewind(first.id)
    assert session.messages == ()
    assert session.token_count < 10


def test_changing_the_mode_takes_effect_at_once(tmp_path: Path) -> None:
    tool = FakeTool(effect=Effect.WRITE)
    model = ScriptedModel([Scripted(calls=(NOTE,)), Scripted("ok")])
    session = Stage(tmp_path, [tool]).session(model)
    session.mode = Mode.PLAN
    run(session)
    assert not tool.ran
    assert "plan mode" in read_by_model(model, "tool")[0]


def _write(path: str, text: str) -> Script:
    return Scripted(calls=(Call("write", {"path": path, "content": text}),))


def test_a_rewind_takes_files_and_conversation_back_and_redo_brings_both_again(tmp_path: Path) -> None:
    model = ScriptedModel([_write("a", "1"), Scripted("A."), _write("b", "2"), Scripted("B."), Scripted("C.")])
    session = Stage(tmp_path, [WriteTool()]).session(model)
    run(session, "first")
    run(session, "second")
    latest, earlier = session.rewind_points
    assert (latest.text, latest.files) == ("second", ("b",))
    assert (earlier.text, earlier.files) == ("first", ("a", "b"))
    said, entries = session.messages, session.token_count
    assert session.preview_rewind(latest.message_id).restored == ("b",)
    assert session.rewind(latest.message_id).restored == ("b",)
    assert [each.text for each in session.messages if isinstance(each, UserMessage)] == ["first"]
    assert session.token_count < entries
    assert session.redo().restored == ("b",)
    assert (session.messages, session.token_count) == (said, entries)
    assert (tmp_path / "b").read_text() == "2"
    session.rewind(earlier.message_id)
    assert sorted(path.name for path in tmp_path.iterdir()) == []
    session.redo()
    assert finished(run(session, "third")).text == "C."
    assert session.redo().sentence() == "There is nothing to redo."


def test_files_and_conversation_go_back_each_on_its_own(tmp_path: Path) -> None:
    model = ScriptedModel([_write("a", "1"), Scripted("A.")])
    session = Stage(tmp_path, [WriteTool()]).session(model)
    run(session, "first")
    (point,) = session.rewind_points
    session.rewind(point.message_id, conversation=False)
    assert not (tmp_path / "a").exists()
    assert len(session.messages) == 4
    session.redo()
    session.rewind(point.message_id, files=False)
    assert (tmp_path / "a").exists()
    assert session.messages == ()
    session.redo()
    assert len(session.messages) == 4


def test_a_rewind_refused_for_a_file_leaves_the_conversation_too(tmp_path: Path) -> None:
    session = Stage(tmp_path, [WriteTool()]).session(ScriptedModel([_write("a", "1"), Scripted("A.")]))
    run(session)
    (tmp_path / "a").write_text("mine")
    report = session.rewind(session.rewind_points[0].message_id)
    assert report.refused == (("a", "was changed since by someone else"),)
    assert len(session.messages) == 4


def test_a_rewind_to_a_steering_message_takes_back_what_came_after_it(tmp_path: Path) -> None:
    model = ScriptedModel([_write("a", "1"), _write("b", "2"), Scripted("Done.")])
    session = Stage(tmp_path, [WriteTool()]).session(model)

    async def scenario() -> None:
        async for event in session.submit("go"):
            if isinstance(event, TurnStarted) and event.turn == 1:
                session.steer("and b")

    asyncio.run(scenario())
    steered, first = session.rewind_points
    assert (steered.text, steered.files, first.files) == ("and b", ("b",), ("a", "b"))
    assert session.rewind(steered.message_id).restored == ("b",)
    assert session.undo().restored == ("a",)


def test_a_session_that_is_not_kept_says_so(tmp_path: Path) -> None:
    session = Stage(tmp_path).session(ScriptedModel([]))
    for act in (session.fork, session.export, lambda: session.rename("x")):
        with pytest.raises(UsageError, match="not kept"):
            act()
