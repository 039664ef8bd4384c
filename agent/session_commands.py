"""``agent sessions``, ``agent undo`` and ``agent redo``: answers on standard output.

They load no model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from agent.clean import clean
from agent.errors import UsageError
from agent.journal import Journal
from agent.messages import AssistantMessage, Message, ToolResultMessage, UserMessage
from agent.restore import UndoReport
from agent.session_import import read_export
from agent.setup import Setup, read_setup
from agent.store import SessionRecord, SessionStore
from tools.workspace import Workspace

_SHOWN_CHARACTERS = 2_000  # of one message


def run_sessions(args: argparse.Namespace) -> int:
    """One action on kept sessions; raises UsageError or StoreError."""
    setup = read_setup(args)
    store = SessionStore(setup.state)
    try:
        return _ACTIONS[args.action or "list"](args, setup, store)
    finally:
        store.close()


def run_undo(args: argparse.Namespace) -> int:
    """Take back the latest file changes of a session; 1 when a file was changed since."""
    return _with_journal(args, Journal.undo_last_run)


def run_redo(args: argparse.Namespace) -> int:
    """Take back the latest undo of a session; 1 when a file was changed since."""
    return _with_journal(args, Journal.redo)


def _with_journal(args: argparse.Namespace, act: Callable[[Journal], UndoReport]) -> int:
    setup = read_setup(args)
    store = SessionStore(setup.state)
    try:
        here = store.sessions(setup.root)
        if args.session is None and not here:
            raise UsageError(f"There is no session in {setup.root}, so there is nothing to {args.command}.")
        record = here[0] if args.session is None else store.find(args.session)
        store.hold(record.id)
        journal = Journal(setup.state / "journal.db", record.id, Workspace(Path(record.cwd)))
        try:
            unclear = journal.recover(store.held_elsewhere)
            report = act(journal)
        finally:
            journal.close()
    finally:
        store.close()
    for sentence in (*unclear, report.sentence()):
        print(clean(sentence))
    return 1 if report.refused else 0


def _list(args: argparse.Namespace, setup: Setup, store: SessionStore) -> int:
    everywhere = getattr(args, "all", False)
    records = store.sessions(None if everywhere else setup.root)
    if getattr(args, "json", False):
        for record in records:
            print(json.dumps(asdict(record)))
        return 0
    if not records:
        where = "yet" if everywhere else f"in {setup.root}"
        print(clean(f"There are no sessions {where}."), file=sys.stderr)
    for record in records:
        print(clean(_line(record, everywhere=everywhere)))
    return 0


def _line(record: SessionRecord, *, everywhere: bool) -> str:
    when = datetime.fromtimestamp(record.updated).astimezone()
    folder = f"  {record.cwd}" if everywhere else ""
    return f"{record.id}  {when:%Y-%m-%d %H:%M}  {record.messages:4} messages  {record.title}{folder}"


def _show(args: argparse.Namespace, _setup: Setup, store: SessionStore) -> int:
    stored = store.load(store.find(args.session).id)
    for message in stored.messages:
        print(clean(_as_text(message)), end="\n\n")
    return 0


def _as_text(message: Message) -> str:
    match message:
        case UserMessage():
            return f"> {message.text}"
        case ToolResultMessage():
            mark = "failed" if message.is_error else "result"
            return f"[{message.name} {mark}] {message.text[:_SHOWN_CHARACTERS]}"
        case AssistantMessage():
            calls = [f"[{call.name}] {json.dumps(dict(call.arguments), default=str)}" for call in message.tool_calls]
            return "\n".join([message.text, *calls] if message.text else calls)


def _export(args: argparse.Namespace, _setup: Setup, store: SessionStore) -> int:
    for line in store.export(store.find(args.session).id):
        print(line)
    return 0


def _import(args: argparse.Namespace, setup: Setup, store: SessionStore) -> int:
    imported = read_export(args.file)
    session_id = store.take_in(imported.messages, imported.title, setup.root)
    left_out = f" {imported.lost} lines could not be read and are left out." if imported.lost else ""
    print(f"Imported {len(imported.messages)} messages as {session_id}.{left_out}")
    return 0


def _rename(args: argparse.Namespace, _setup: Setup, store: SessionStore) -> int:
    record = store.find(args.session)
    store.rename(record.id, args.title)
    print(clean(f"{record.id} is now called {args.title}."))
    return 0


def _remove(args: argparse.Namespace, _setup: Setup, store: SessionStore) -> int:
    record = store.find(args.session)
    store.remove(record.id)
    print(f"Removed {record.id}.")
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace, Setup, SessionStore], int]] = {
    "list": _list,
    "show": _show,
    "export": _export,
    "import": _import,
    "rename": _rename,
    "rm": _remove,
}
