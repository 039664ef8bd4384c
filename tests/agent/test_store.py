"""Kept sessions: what is written is there again, and damage is a sentence."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from agent.database_users import DatabaseUsers
from agent.errors import StoreError, UsageError
from agent.messages import (
    AssistantMessage,
    Drafted,
    Message,
    StopReason,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserMessage,
)
from agent.model import Dump
from agent.retention import Retention
from agent.session_import import read_export
from agent.store import SessionStore, new_session_id
from agent.transcript import Snapshot
from tests.fakes.damage import survive

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
        Usage(1, 2, 3, 4, 5, 6.5, 7.5, 8, (Drafted("copy", 4, 3), Drafted("mtp", 0, 2))),
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
import zlib
from contextlib import closing
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


def test_a_damaged_store_opens_and_keeps_every_message_that_the_damage_left_alone(tmp_path: Path) -> None:
    for survived in survive(tmp_path, 24, sessions=2, messages=30):
        assert survived.sentence is None, survived
        assert survived.wrong == 0, survived
        assert survived.found >= survived.untouched, survived


@pytest.mark.slow
def test_no_damage_is_more_than_its_own_place(tmp_path: Path) -> None:
    for survived in survive(tmp_path, 96):
        assert survived.sentence is None, survived
        assert survived.wrong == 0, survived
        assert survived.found >= survived.untouched, survived


def test_a_damaged_store_that_another_window_has_open_is_a_sentence(tmp_path: Path) -> None:
    database = tmp_path / "sessions.db"
    database.write_bytes(b"garbage" * 1000)
    other_window = DatabaseUsers(database)
    other_window.enter()
    with pytest.raises(StoreError, match="another window has it open"):
        SessionStore(tmp_path)
    assert database.read_bytes() == b"garbage" * 1000
    other_window.leave()
    assert "was damaged" in SessionStore(tmp_path).notices[0]


def test_a_store_of_the_first_version_is_brought_over_and_kept(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as old:
        old.executescript(_FIRST_VERSION)
        dump = json.dumps({"model": "m", "format": "f", "tools": [], "segments": [["user", "user", [1, 2]]]})
        old.execute("INSERT INTO sessions VALUES ('s1', 'Title', '/srv', 'm', NULL, 1.0, 2.0)")
        body = json.dumps({"kind": "user", "id": "u1", "text": "hello"})
        old.execute("INSERT INTO messages VALUES ('s1', 0, 'user', 0, 0, ?)", (body,))
        old.execute("INSERT INTO transcripts VALUES ('s1', 0, 1, ?)", (zlib.compress(dump.encode()),))
    store = SessionStore(tmp_path)
    stored = store.load("s1")
    assert stored.messages == (UserMessage("u1", "hello"),)
    assert stored.snapshot is not None
    assert stored.snapshot.dump == Dump('{"model":"m","format":"f","tools":[]}', ('["user","user",[1,2]]',))
    assert "kept as" in store.notices[0]
    assert (tmp_path / "sessions.db.format-1").exists()


def test_what_is_exported_is_imported_again_and_anything_else_is_refused(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = keep(store, MESSAGES)
    exported = tmp_path / "session.jsonl"
    exported.write_text("\n".join([*store.export(session_id), "no message", '{"kind": "user"}']))
    found = read_export(str(exported))
    assert (found.title, found.lost) == ("Fix it, please.", 2)
    again = store.load(store.take_in(found.messages, found.title, tmp_path))
    assert list(again.messages) == MESSAGES
    assert again.snapshot is None
    for text in ("", "[]", "x", '{"kind": "user", "id": "1", "text": "x"}', '{"kind": "session"}'):
        exported.write_text(text)
        with pytest.raises(UsageError, match=r"session\.jsonl"):
            read_export(str(exported))


def test_old_sessions_and_those_beyond_the_room_are_removed_and_open_ones_stay(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    old, large, latest = (keep(store, MESSAGES * times, f"s{times}") for times in (1, 300, 2))
    with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as direct:
        direct.execute("UPDATE sessions SET updated = 1 WHERE id = ?", (old,))
    before = (tmp_path / "sessions.db").stat().st_size + (tmp_path / "sessions.db-wal").stat().st_size
    other = SessionStore(tmp_path)
    assert other.prune(Retention(days=30)) == 0  # the first store holds them
    store.close()
    assert other.prune(Retention(days=30)) == 1
    assert other.prune(Retention(bytes=100_000)) == 1
    assert [each.id for each in other.sessions()] == [latest]
    other.close()
    assert (tmp_path / "sessions.db").stat().st_size < before / 4
    assert large not in (path.name for path in (tmp_path / "locks").iterdir())


_FULL = """
import resource, sys
from pathlib import Path
from agent.errors import StoreError
from agent.messages import UserMessage
from agent.model import Dump
from agent.store import SessionStore
from agent.transcript import Snapshot
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SessionStore(Path(sys.argv[1]))
log = store.create("s", Path("/"), "m")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    for number in range(1000):
        log.append([UserMessage(f"u{number}", "x" * 1000)], [number], Snapshot(Dump("h", ("p",)), 0, number))
        print(number, flush=True)
except StoreError as error:
    print(error, file=sys.stderr)
"""


def test_a_full_disk_is_a_sentence_and_everything_said_to_be_kept_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "sessions.db" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    acknowledged = len(done.stdout.split())
    assert acknowledged > 10
    assert len(SessionStore(tmp_path).load("s").messages) >= acknowledged


_FIRST_VERSION = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, cwd TEXT NOT NULL, model TEXT NOT NULL, parent TEXT,
    created REAL NOT NULL, updated REAL NOT NULL
);
CREATE TABLE messages (
    session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE, number INTEGER NOT NULL,
    kind TEXT NOT NULL, generation INTEGER NOT NULL, position INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (session, number)
);
CREATE TABLE transcripts (
    session TEXT PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE,
    generation INTEGER NOT NULL, messages INTEGER NOT NULL, dump BLOB NOT NULL
);
PRAGMA user_version=1;
"""
