"""Ways in which a database file is damaged, and how much of it came back.

The mutations are those of disks, copies and people: cut, zeroed, flipped, overwritten, emptied; the log beside it too.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.errors import StoreError, UsageError
from agent.messages import AssistantMessage, Message, UserMessage
from agent.model import Dump
from agent.store import SessionStore
from agent.transcript import Snapshot

KINDS = ("cut", "zeros", "page", "flip", "garbage", "header", "empty", "log")


def fill(folder: Path, sessions: int, messages: int) -> dict[str, list[Message]]:
    """A store with sessions of so many messages; each message can be recognised by its bytes in the file."""
    store = SessionStore(folder)
    kept: dict[str, list[Message]] = {}
    for number in range(sessions):
        session_id = f"session-{number}"
        log = store.create(session_id, folder, "a-model")
        kept[session_id] = []
        for count in range(messages):
            text = f"<{session_id} {count}> " + "x" * (37 * count % 900)
            message: Message = UserMessage(f"u{count}", text) if count % 2 == 0 else AssistantMessage(f"a{count}", text)
            log.append([message], [count], Snapshot(Dump("header", (f"part {count} of {session_id}",)), 0, count))
            kept[session_id].append(message)
    store.close()
    return kept


def damage(path: Path, kind: str, draw: random.Random) -> None:
    """Spoil the file in one of the ways."""
    if kind == "log":
        path, kind = path.with_name(f"{path.name}-wal"), draw.choice(["cut", "zeros", "flip", "garbage"])
    content = bytearray(path.read_bytes()) if path.exists() else bytearray()
    where = draw.randrange(max(1, len(content)))
    match kind:
        case "cut":
            del content[where:]
        case "zeros":
            content[where : where + 4096] = bytes(min(4096, len(content) - where))
        case "page":
            start = where // 4096 * 4096
            content[start : start + 4096] = draw.randbytes(len(content[start : start + 4096]))
        case "flip":
            for _ in range(draw.randint(1, 5) if content else 0):
                content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        case "garbage":
            content[where : where + 200] = draw.randbytes(len(content[where : where + 200]))
        case "header":
            size = min(len(content), draw.choice([16, 100, 4096]))
            content[:size] = bytes(size)
        case _:
            content.clear()
    path.write_bytes(content)


def open_again(folder: Path, kept: dict[str, list[Message]]) -> tuple[str | None, int, int]:
    """What the user is told when the store cannot be opened, messages there again, and messages that are wrong."""
    try:
        store = SessionStore(folder)
    except StoreError as error:
        return str(error), 0, 0
    found = wrong = 0
    try:
        for session_id, messages in kept.items():
            try:
                loaded = store.load(session_id).messages
            except UsageError:
                continue
            except StoreError as error:
                return str(error), found, wrong
            good = {_id(each): each for each in messages}
            found += sum(good.get(_id(each)) == each for each in loaded)
            wrong += sum(good.get(_id(each)) != each for each in loaded)
    finally:
        store.close()
    return None, found, wrong


def untouched(original: Path, damaged: Path, kept: dict[str, list[Message]]) -> int:
    """How many messages lie wholly on pages of the file that the damage left as they were."""
    before, after = original.read_bytes(), damaged.read_bytes()
    starts = range(0, min(len(before), len(after) // 4096 * 4096), 4096)
    pages = [before[at : at + 4096] for at in starts if before[at : at + 4096] == after[at : at + 4096]]
    texts = [f'{each.text}"'.encode() for messages in kept.values() for each in messages if hasattr(each, "text")]
    return sum(any(text in page for page in pages) for text in texts)


@dataclass(frozen=True)
class Survived:
    """What came of one damaged store: messages on untouched pages, messages that came back, wrong ones, a sentence."""

    kind: str
    untouched: int
    found: int
    wrong: int
    sentence: str | None


def survive(folder: Path, count: int, sessions: int = 5, messages: int = 100) -> Iterator[Survived]:
    """Spoil copies of a store in all ways by turns, and open each."""
    source = folder / "source"
    source.mkdir()
    kept = fill(source, sessions, messages)
    for seed in range(count):
        copy, kind = folder / str(seed), KINDS[seed % len(KINDS)]
        copy.mkdir()
        shutil.copyfile(source / "sessions.db", copy / "sessions.db")
        damage(copy / "sessions.db", kind, random.Random(seed))
        there = untouched(source / "sessions.db", copy / "sessions.db", kept)
        sentence, found, wrong = open_again(copy, kept)
        yield Survived(kind, there, found, wrong, sentence)
        shutil.rmtree(copy)


def _id(message: Message) -> str:
    return message.call_id if not isinstance(message, UserMessage | AssistantMessage) else message.id
