"""Kept sessions: what is written is there again, and damage is a sentence."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import StoreError, UsageError
from agent.messages import AssistantMessage, Message, StopReason, ToolCall, ToolResultMessage, Usage, UserMessage
from agent.model import Dump
from agent.store import SessionStore, new_session_id
from agent.transcript import Snapshot

ROOT = Path(__file__).parents[2]
REPOSITORY = Path("/srv/repository")

MESSAGES: list[Message] = [
    UserMessage("u1", "Fix it, please.\nThe second line."),
    AssistantMessage(
        "a1",
        "I look.",
        "hm \ud800",
        (ToolCall("c1", "read", {"path": "a.py", "lines": [1, 2]}), ToolCall("c2", "x", {}, "could not be parsed")),
        StopReason.TOOL_CALLS,
        Usage(1, 2, 3, 4, 5, 6.5, 7.5),
    ),
    ToolResultMessage("c1", "read", "x = 1 \x00 \N{PILE OF POO}", is_error=True),
    ToolResultMessage("c2", "x", ""),
    AssistantMessage("a2", "Done."),
]


def keep(store: SessionStore, messages: list[Message], session_id: str | None = None, cwd: Path = REPOSITORY) -> str:
    session_id = session_id or new_session_id()
    log = store.create(session_id, cwd, "a-model")
    for position, message in enumerate(messages):
        log.append([message], [position], Snapshot(Dump("header", (f"part {position}",)), 0, position))
    return session_id


def test_a_session_comes_back_as_it_was(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, MESSAGES)
    store.close()
    stored = SessionStore(tmp_path).load(session_id)
    assert list(stored.messages) == MESSAGES
    assert stored.snapshot == Snapshot(Dump("header", tuple(f"part {number}" for number in range(5))), 0)
    assert stored.covered == len(MESSAGES)
    assert stored.positions == (0, 1, 2, 3, 4)
    assert stored.lost == 0
    assert (stored.record.title, stored.record.cwd, stored.record.model) == (
        "Fix it, please.",
        "/srv/repository",
        "a-model",
    )


def test_a_truncated_session_holds_the_first_messages_only(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, MESSAGES)
    log = store.open(session_id)
    log.truncate(1, Snapshot(Dump("header", ()), 0, 1))
    log.append([UserMessage("u2", "other")], [1], Snapshot(Dump("header", ("other",)), 0, 1))
    stored = store.load(session_id)
    assert stored.messages == (MESSAGES[0], UserMessage("u2", "other"))
    assert stored.snapshot == Snapshot(Dump("header", ("part 0", "other")), 0)


def test_marks_from_before_a_compaction_are_not_offered(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, MESSAGES)
    log = store.open(session_id)
    log.append([], [], Snapshot(Dump("new", ("compacted",)), 1))
    log.append([UserMessage("u2", "more")], [7], Snapshot(Dump("new", ("more",)), 1, 1))
    stored = store.load(session_id)
    assert stored.positions == (7,)
    assert stored.snapshot == Snapshot(Dump("new", ("compacted", "more")), 1)


def test_sessions_are_listed_latest_first_and_by_folder_and_without_empty_ones(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    first = keep(store, MESSAGES)
    elsewhere = keep(store, MESSAGES, cwd=Path("/elsewhere"))
    store.create("empty", REPOSITORY, "m")
    assert [each.id for each in store.sessions()] == [elsewhere, first]
    assert [each.id for each in store.sessions(REPOSITORY)] == [first]
    assert store.sessions()[0].messages == len(MESSAGES)


def test_a_session_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    for session_id in ("1123-100000-aaaa", "1123-100000-aabb", "1123-100000-aa"):
        keep(store, MESSAGES, session_id)
    assert store.find("1123-100000-aab").id == "1123-100000-aabb"
    assert store.find("1123-100000-aa").id == "1123-100000-aa"
    with pytest.raises(UsageError, match="Several sessions"):
        store.find("1123")
    with pytest.raises(UsageError, match="no session zzz"):
        store.find("zzz")


def test_a_fork_is_a_copy_that_lives_on_its_own(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, MESSAGES)
    copy = store.fork(session_id)
    store.open(copy).append([UserMessage("u2", "only here")], [9], Snapshot(Dump("header", ("more",)), 0, 5))
    assert len(store.load(copy).messages) == len(MESSAGES) + 1
    assert list(store.load(session_id).messages) == MESSAGES
    assert store.load(copy).record.parent == session_id


def test_a_removed_session_is_gone_with_everything(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, MESSAGES)
    store.remove(session_id)
    assert store.sessions() == []
    with pytest.raises(UsageError):
        store.load(session_id)


def test_the_export_is_json_lines(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, [MESSAGES[0], MESSAGES[4]])
    lines = [json.loads(line) for line in store.export(session_id)]
    assert [line["kind"] for line in lines] == ["session", "user", "assistant"]
    assert lines[1]["text"] == "Fix it, please.\nThe second line."


_HOLDER = """
import sys
from pathlib import Path
from agent.store import SessionStore
store = SessionStore(Path(sys.argv[1]))
store.hold(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_session_open_in_another_process_is_refused_until_that_one_dies(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, MESSAGES)
    store.release(session_id)
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path), session_id],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert store.held_elsewhere(session_id)
        for refused in (store.open, store.remove):
            with pytest.raises(UsageError, match="open in another window"):
                refused(session_id)
        process.kill()
    assert not store.held_elsewhere(session_id)
    store.open(session_id)


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    SessionStore(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "sessions.db")
    connection.execute("PRAGMA user_version=999")
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        SessionStore(tmp_path)


def test_a_store_locked_by_another_program_is_a_sentence(tmp_path: Path) -> None:
    store = SessionStore(tmp_path, busy_seconds=0.05)
    blocker = sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked by another process"):
        keep(store, MESSAGES)
    blocker.close()


def test_a_damaged_transcript_loses_the_exact_resume_and_no_message(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, MESSAGES)
    store.close()
    connection = sqlite3.connect(tmp_path / "sessions.db")
    connection.execute("UPDATE parts SET body = 'pert 1' WHERE number = 1")
    connection.execute("UPDATE messages SET body = replace(body, 'look', 'hook') WHERE number = 1")
    connection.commit()
    connection.close()
    stored = SessionStore(tmp_path).load(session_id)
    assert stored.snapshot is None
    assert list(stored.messages) == [MESSAGES[0], *MESSAGES[2:]]
    assert stored.lost == 1


def _damage(content: bytes, draw: random.Random) -> bytes:
    where = draw.randrange(len(content))
    match draw.choice(["cut", "zeros", "flip", "garbage"]):
        case "cut":
            return content[:where]
        case "zeros":
            return content[:where] + b"\0" * min(4096, len(content) - where) + content[where + 4096 :]
        case "flip":
            return content[:where] + bytes([content[where] ^ 1 << draw.randrange(8)]) + content[where + 1 :]
        case _:
            return content[:where] + draw.randbytes(200) + content[where + 200 :]


def _opens(folder: Path, session_id: str) -> str | None:
    """None when the store opens and the session loads; else what the user is told."""
    try:
        store = SessionStore(folder)
        try:
            store.sessions()
            store.load(session_id)
        finally:
            store.close()
    except (StoreError, UsageError) as error:
        return str(error)
    return None


def test_a_store_damaged_anyhow_opens_or_is_one_sentence(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, MESSAGES * 5)
    store.close()
    whole = (tmp_path / "sessions.db").read_bytes()
    told: list[str | None] = []
    for seed in range(80):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "sessions.db").write_bytes(_damage(whole, random.Random(seed)))
        told.append(_opens(folder, session_id))
    sentences = [each for each in told if each is not None]
    assert 0 < len(sentences) < len(told)
    assert all(len(each) > 20 and "\n" not in each for each in sentences)
