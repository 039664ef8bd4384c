"""Commit messages: one proposed from the staged change where the user gave none, and a look at what a message holds.

A message that is there is never changed, and nothing here stops a commit by failing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import AgentError
from agent.model import Model, ResponseFinished, ResponseOptions
from agent.review.checks import check_file
from agent.review.findings import Finding
from inference.errors import EngineError
from prompts import load
from tools.git import Git, GitError, find_root
from tools.git_changes import ChangedFile, Changes, Hunk

_SCISSORS = re.compile(r"^. -+ >8 -+$", re.MULTILINE)
_MOST_CHARACTERS = 4_000  # of the diff: some 1,300 tokens, which a small machine reads in 10 to 15 seconds
_LONGEST = 72  # of a subject line, by git's own advice
_ANSWER_TOKENS, _THOUGHT_TOKENS = 40, 600


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a message is written: in a repository of which git says ``given``, by the model that ``open_model`` opens
    (raises AgentError or EngineError), within ``seconds``."""

    folder: Path
    given: Mapping[str, str]
    open_model: Callable[[], Awaitable[Model]]
    seconds: float


async def propose_message(path: Path, desk: Desk) -> str | None:
    """Put a proposed subject line into the message file that git is about to show; a sentence for the user, if any.

    A file that holds more than comments stays as it is; so does every file when the model is not here or too slow.
    """
    root = find_root(desk.folder, desk.given)
    text = _read(path)
    if text is None:
        return f"the message file {path} cannot be read; no message is proposed."
    if root is None or written(text, comment_sign(Git(root, desk.given))):
        return None
    try:
        change = _described(Changes(root, desk.given))
        if not change:
            return None
        async with asyncio.timeout(desk.seconds):
            line = await _asked(change, desk.open_model)
    except TimeoutError:
        return f"no message is proposed: the model did not write one within {desk.seconds:g} seconds."
    except (AgentError, EngineError, GitError) as error:
        return f"no message is proposed: {error}"
    if not line:
        return "no message is proposed: the model wrote none."
    _write(path, f"{line}\n{text}")
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def check_message(path: Path) -> list[Finding]:
    """Secrets and leftovers in a commit message; nothing for a file that cannot be read."""
    root = find_root(Path.cwd())
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = written(text, comment_sign(Git(root)) if root else "#").splitlines()
    file = ChangedFile(
        "commit message", "commit message", "added", None, "\n".join(lines), (Hunk(1, 0, 1, len(lines)),)
    )
    return check_file(file)


def written(text: str, sign: str) -> str:
    """What of a message file will be the message: no comments, nothing below the scissors; empty lines are kept."""
    cut = _SCISSORS.search(text)
    lines = (text[: cut.start()] if cut else text).splitlines()
    kept = ["" if line.startswith(sign) else line for line in lines]
    return "\n".join(kept) if any(line.strip() for line in kept) else ""


def comment_sign(git: Git) -> str:
    """What comment lines begin with; git's own default for "auto", which is right for a message without text."""
    sign = git.configured("core.commentChar") or "#"
    return "#" if sign == "auto" else sign


def subject(answer: str) -> str:
    """The subject line in a model's answer; empty when there is none."""
    lines = [line.strip().strip("`\"'*").strip() for line in answer.splitlines()]
    line = next((line for line in lines if line and not line.startswith("#")), "")
    line = re.sub(r"^(?:subject|commit message)\s*:\s*", "", line, flags=re.IGNORECASE).rstrip(".")
    if len(line) > _LONGEST:
        line = line[:_LONGEST].rsplit(" ", 1)[0]
    return line


def _described(changes: Changes) -> str:
    """The staged change for a model: each file in a line, then as much of the changed lines as there is room for."""
    files = changes.read(changes.index_range())
    summary = "\n".join(f"{file.status}: {file.path}" for file in files[:30])
    diff = "\n".join(_lines(file) for file in files if file.skipped is None)
    if not files:
        return ""
    return load("review/commit_message", summary=summary, diff=diff[:_MOST_CHARACTERS])


def _lines(file: ChangedFile) -> str:
    old, new = (file.old or "").splitlines(), (file.new or "").splitlines()
    parts = [f"--- {file.path}"]
    for hunk in file.hunks:
        parts += _signed("-", old, hunk.old_start, hunk.old_count) + _signed("+", new, hunk.new_start, hunk.new_count)
    return "\n".join(parts)


def _signed(sign: str, lines: Sequence[str], start: int, count: int) -> list[str]:
    return [f"{sign}{line[:200]}" for line in lines[start - 1 : start - 1 + min(count, 40)]]


async def _asked(change: str, open_model: Callable[[], Awaitable[Model]]) -> str:
    """The model's subject line; raises AgentError or EngineError."""
    model = await open_model()
    try:
        conversation = model.open(load("review/message_system"), ())
        conversation.add_user(change)
        tokens = _THOUGHT_TOKENS if model.info.thinks else _ANSWER_TOKENS
        answer = ""
        async for event in conversation.respond(ResponseOptions(tokens, temperature=0.0, tool_choice="none")):
            if isinstance(event, ResponseFinished):
                answer = event.message.text
        return subject(answer)
    finally:
        await model.close()
