"""Sessions as the program opens them: kept, resumed, refused; on a scripted model."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from agent.assembly import Opened, Wish, command_environment, open_session, run_options
from agent.errors import UsageError
from agent.events import AgentEvent, FileChanged, RunFinished, SessionStarted, ToolFinished
from agent.messages import UserMessage
from agent.model import Dump, ModelInfo
from agent.output import JsonWriter, outcome_of
from agent.permissions import Mode
from agent.session_choice import choose_session
from agent.setup import Setup, read_setup
from agent.store import SessionStore
from tests.fakes.scripted_model import Call, Script, Scripted, ScriptedConversation, ScriptedModel
from tests.fakes.sessions import collect


class OtherModel(ScriptedModel):
    """A model with another name, which cannot read the scripted one's transcripts."""

    @property
    def info(self) -> ModelInfo:
        return replace(super().info, name="another")

    def restore(self, dumped: Dump) -> ScriptedConversation:
        raise ValueError("made by another model")


GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass
class World:
    """A home and a repository with one file."""

    root: Path

    def __post_init__(self) -> None:
        self.repository = self.root / "repository"
        self.repository.mkdir()
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.repository)], check=True)
        (self.repository / "a.py").write_text("def add(a, b):\n    return a - b\n")

    def setup(self, **flags: object) -> Setup:
        return read_setup(argparse.Namespace(**flags), {"HOME": str(self.root)}, self.repository)

    def open(self, model: ScriptedModel, wish: Wish | None = None, **flags: object) -> Opened:
        return open_session(self.setup(**flags), model, wish or Wish())

    def choice(self, *, resume: str | None = None, last: bool = False, fork: bool = False) -> str | None:
        return choose_session(argparse.Namespace(continue_=last, resume=resume, fork=fork), self.setup())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


REPAIR: list[Script] = [
    Scripted("I look.", calls=(Call("read", {"path": "a.py"}),)),
    Scripted(calls=(Call("edit", {"path": "a.py", "replacements": [{"find": "a - b", "replace": "a + b"}]}),)),
    Scripted("Fixed."),
]


def submit(opened: Opened, text: str) -> list[AgentEvent]:
    async def scenario() -> list[AgentEvent]:
        events = await collect(opened.session.submit(text))
        await opened.session.close()
        return events

    return asyncio.run(scenario())


def close(opened: Opened) -> None:
    asyncio.run(opened.session.close())


def test_a_session_is_resumed_with_the_very_same_transcript(world: World) -> None:
    first = ScriptedModel(REPAIR)
    opened = world.open(first, mode="accept-edits")
    submit(opened, "fix add")
    second = ScriptedModel([Scripted("As before.")])
    again = world.open(second, Wish(resume=world.choice(last=True)))
    assert again.notices == ()
    assert again.session.id == opened.session.id
    assert again.session.messages == opened.session.messages
    assert second.conversations[-1].entries == first.conversations[-1].entries
    submit(again, "and now?")
    assert [entry.text for entry in second.conversations[-1].entries if entry.kind == "user"][1:] == ["and now?"]


def test_a_resumed_session_rewinds_to_messages_of_before(world: World) -> None:
    submit(world.open(ScriptedModel(REPAIR), mode="accept-edits"), "fix add")
    assert "a + b" in (world.repository / "a.py").read_text()
    model = ScriptedModel([])
    again = world.open(model, Wish(resume=world.choice(last=True)))
    message = again.session.messages[0]
    assert isinstance(message, UserMessage)
    assert again.session.rewind(message.id).restored == ("a.py",)
    assert "a - b" in (world.repository / "a.py").read_text()
    assert [entry.kind for entry in model.conversations[0].entries] == ["system"]
    close(again)
    with pytest.raises(UsageError, match="no session"):
        world.choice(last=True)


def test_another_model_goes_on_from_the_text(world: World) -> None:
    submit(world.open(ScriptedModel(REPAIR), mode="accept-edits"), "fix add")
    other = OtherModel([Scripted("I see.")])
    again = world.open(other, Wish(resume=world.choice(last=True)))
    assert "another model" in again.notices[0]
    submit(again, "go on")
    (told, _) = [entry.text for entry in other.conversations[-1].entries if entry.kind == "user"]
    assert "User: fix add" in told
    assert "Call: edit" in told


def test_calls_that_a_crash_cut_off_are_answered_and_not_run_again(world: World) -> None:
    opened = world.open(ScriptedModel(REPAIR), mode="accept-edits")
    submit(opened, "fix add")
    store = SessionStore(world.setup().state)
    stored = store.load(opened.session.id)
    assert stored.snapshot is not None
    # As if the process had died after the second response, in the middle of its edit.
    dump = replace(stored.snapshot.dump, parts=())
    store.open(opened.session.id).truncate(4, replace(stored.snapshot, dump=dump, first=5))
    store.close()
    model = ScriptedModel([Scripted("I see.")])
    again = world.open(model, Wish(resume=opened.session.id))
    events = submit(again, "what happened?")
    assert not [event for event in events if isinstance(event, ToolFinished)]
    kinds = [entry.kind for entry in model.conversations[-1].entries]
    assert kinds == ["system", "user", "assistant", "tool", "assistant", "tool", "user", "assistant"]
    assert "interrupted" in model.conversations[-1].entries[5].text


def test_a_session_that_is_open_cannot_be_continued_but_forked(world: World) -> None:
    opened = world.open(ScriptedModel([Scripted("one")]))
    asyncio.run(collect(opened.session.submit("first")))
    with pytest.raises(UsageError, match="open in another window"):
        world.choice(last=True)
    copy = world.choice(last=True, fork=True)
    assert copy is not None
    again = world.open(ScriptedModel([]), Wish(resume=copy))
    assert again.session.messages == opened.session.messages
    close(again)
    close(opened)


def test_a_store_that_cannot_be_used_costs_the_memory_and_nothing_else(world: World) -> None:
    state = world.setup().state
    state.mkdir(parents=True)
    for name in ("sessions.db", "journal.db"):
        with closing(sqlite3.connect(state / name)) as newer:
            newer.execute("PRAGMA user_version=999")
    opened = world.open(ScriptedModel(REPAIR), mode="accept-edits")
    assert len(opened.notices) == 2
    assert all("newer version" in notice and "This session is not kept" in notice for notice in opened.notices)
    events = asyncio.run(collect(opened.session.submit("fix add")))
    assert [event.path for event in events if isinstance(event, FileChanged)] == ["a.py"]
    assert opened.session.undo().restored == ("a.py",)
    close(opened)


def test_damaged_stores_are_kept_aside_and_the_session_is_kept_in_new_ones(world: World) -> None:
    state = world.setup().state
    state.mkdir(parents=True)
    for name in ("sessions.db", "journal.db"):
        (state / name).write_bytes(b"garbage" * 1000)
    opened = world.open(ScriptedModel(REPAIR), mode="accept-edits")
    assert len(opened.notices) == 2
    submit(opened, "fix add")
    assert [path.read_bytes() for path in state.glob("*.damaged-*")] == [b"garbage" * 1000] * 2
    assert len(SessionStore(state).load(opened.session.id).messages) == 6


def test_a_small_model_gets_fewer_tools_and_hidden_tools_still_work(world: World) -> None:
    large = world.open(ScriptedModel([]), Wish(keep=False))
    small = world.open(
        ScriptedModel([], small=True), Wish(keep=False, show_tools=False, system="Short.", preface=False)
    )
    assert len(large.session.started().tools) == 8
    assert len(small.session.started().tools) == 5
    assert small.session.token_count < 10
    close(large)
    close(small)


def test_options_and_mode_come_from_the_settings(world: World) -> None:
    setup = world.setup(mode="plan", max_turns=3, seed=9, max_seconds=2.5)
    options = run_options(setup)
    assert (options.limits.turns, options.limits.seconds, options.response.seed) == (3, 2.5, 9)
    opened = open_session(setup, ScriptedModel([]), Wish(keep=False))
    assert opened.session.mode is Mode.PLAN
    close(opened)


def test_commands_get_no_keys_and_tokens() -> None:
    given = {"PATH": "/bin", "LC_ALL": "C", "GITHUB_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", "HF_TOKEN": "x"}
    kept = command_environment(given)
    assert kept["PATH"] == "/bin"
    assert kept["LC_ALL"] == "C"
    assert not {"GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"} & set(kept)


def _stable(value: Any, world: World, session_id: str) -> Any:
    """The value without what differs from run to run."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        pairs = {key: _stable(each, world, session_id) for key, each in found.items()}
        return {key: 0 if key == "duration_ms" else each for key, each in pairs.items()}
    if isinstance(value, list):
        return [_stable(each, world, session_id) for each in cast("list[Any]", value)]
    if isinstance(value, str):
        return value.replace(session_id, "SESSION").replace(str(world.repository), "REPOSITORY")
    return value


def test_the_stream_of_a_repair_is_as_recorded(world: World) -> None:
    wish = Wish(system="You help.", show_tools=False, preface=False)
    opened = world.open(ScriptedModel(REPAIR), wish, mode="accept-edits")
    lines = io.StringIO()
    writer = JsonWriter(lines, events=True)
    writer.handle(opened.session.started())
    for event in submit(opened, "fix add"):
        writer.handle(event)
        if isinstance(event, RunFinished):
            writer.finish(outcome_of(event))
    found = [_stable(json.loads(line), world, opened.session.id) for line in lines.getvalue().splitlines()]
    recorded = [json.loads(line) for line in (GOLDEN / "repair.stream.jsonl").read_text().splitlines()]
    assert found == recorded


def test_the_session_started_event_tells_model_mode_and_tools(world: World) -> None:
    opened = world.open(ScriptedModel([]), Wish(keep=False))
    started = opened.session.started()
    assert isinstance(started, SessionStarted)
    assert (started.model, started.mode, started.cwd) == ("scripted", "default", str(world.repository))
    close(opened)


def test_a_session_is_renamed_copied_and_exported_from_within(world: World) -> None:
    opened = world.open(ScriptedModel(REPAIR), mode="accept-edits")
    asyncio.run(collect(opened.session.submit("fix add")))
    opened.session.rename("a better name")
    copy = opened.session.fork()
    assert len(list(opened.session.export())) == 7
    close(opened)
    store = SessionStore(world.setup().state)
    assert {each.id: each.title for each in store.sessions()} == dict.fromkeys(
        [opened.session.id, copy], "a better name"
    )
    again = world.open(ScriptedModel([Scripted("On.")]), Wish(resume=copy))
    assert again.notices == ()
    submit(again, "go on")
