"""Replaces old turns by a summary when the context is nearly full, by exact token counts.

It drops no message: people and the store keep them all; only what the model reads becomes shorter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from agent.errors import AgentError
from agent.events import AgentEvent, CompactionFinished, Notice
from agent.messages import AssistantMessage, Message, ToolResultMessage, UserMessage
from agent.model import Conversation, Model, ResponseFinished, ResponseOptions
from agent.toolset import Toolset
from agent.transcript import Transcript
from inference.errors import EngineError
from prompts import load

# Shares of the context. A response is promised at most a quarter; what a compaction keeps fits into under a half.
_RESPONSE_SHARE = 4
_SUMMARY_SHARE = 8
_RECENT_SHARE = 6
_MAX_SUMMARY_TOKENS = 1024
_MAX_PATHS = 30
_MARKERS = 64  # chat markers around the request for a summary, generously

Emit = Callable[[AgentEvent], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """How every conversation of the session begins: the system prompt, and the preface of the first user message."""

    system: str
    preface: str = ""


class Compactor:
    """Keeps the transcript of one session below the model's context."""

    def __init__(self, model: Model, opening: Opening, transcript: Transcript, toolset: Toolset) -> None:
        self._model = model
        self._opening = opening
        self._transcript = transcript
        self._toolset = toolset

    @property
    def _context(self) -> int:
        return self._model.info.context_tokens

    async def make_room(self, max_tokens: int, emit: Emit) -> None:
        """Compact when fewer tokens are left than a response of ``max_tokens`` may take (a quarter at most)."""
        reserve = min(max_tokens, self._context // _RESPONSE_SHARE)
        if self._transcript.token_count + reserve > self._context:
            await self.compact(emit)

    async def compact(self, emit: Emit, focus: str = "") -> None:
        """Begin a new conversation that holds a summary, the last steps and the request; ``focus`` is the user's wish.

        Does nothing when the result would not be shorter.
        """
        before = self._transcript.token_count
        summary = await self._summarise(emit, focus)
        for recent_share in (self._context // _RECENT_SHARE, 0):
            conversation = self._model.open(self._opening.system, self._toolset.specs())
            conversation.add_user(self._opening.preface + self._compose(conversation, summary, recent_share))
            if conversation.token_count < before:
                self._transcript.replace_conversation(conversation)
                emit(CompactionFinished(before, conversation.token_count))
                return
        emit(Notice("The conversation cannot be made shorter."))

    async def _summarise(self, emit: Emit, focus: str) -> str:
        """The model's own summary; the plain record of what was said when it cannot give one."""
        budget = min(_MAX_SUMMARY_TOKENS, self._context // _SUMMARY_SHARE)
        conversation = self._transcript.conversation
        prompt = load("compaction", focus=f"\nThe user asks to keep especially: {focus}" if focus else "")
        try:
            # A copy: the conversation itself stays as it is, so that a rewind can still come back to it.
            scratch = self._model.restore(conversation.dump())
            self._shorten(scratch, self._context - budget - scratch.count(prompt) - _MARKERS)
            scratch.add_user(prompt)
            options = ResponseOptions(max_tokens=budget, temperature=0.0, tool_choice="none")
            async for event in scratch.respond(options):
                if isinstance(event, ResponseFinished) and event.message.text.strip():
                    return _clip(conversation, event.message.text.strip(), budget)
        except (EngineError, AgentError, ValueError) as error:
            emit(Notice(f"The model gave no summary ({error}) The plain record is used instead."))
        return record_of(conversation, self._transcript.messages, budget)

    def _shorten(self, scratch: Conversation, limit: int) -> None:
        """Drop the newest messages of the copy until it leaves room for the summary."""
        for position in reversed(self._transcript.positions):
            if scratch.token_count <= limit:
                return
            scratch.rewind(position)

    def _compose(self, conversation: Conversation, summary: str, recent_tokens: int) -> str:
        messages = self._transcript.messages
        last = max((at for at, each in enumerate(messages) if isinstance(each, UserMessage)), default=0)
        request = messages[last] if messages else None
        return load(
            "compacted",
            summary=summary,
            files=_paths("Files read", self._toolset.paths_read) + _paths("Files changed", self._toolset.paths_written),
            request=_clip(conversation, request.text if request else "", self._context // _RECENT_SHARE),
            recent=record_of(conversation, messages[last + 1 :], recent_tokens),
        )


def _paths(title: str, paths: dict[str, None]) -> str:
    newest = list(paths)[-_MAX_PATHS:]
    return f"{title}: {', '.join(newest)}\n" if newest else ""


def record_of(conversation: Conversation, messages: tuple[Message, ...], limit: int) -> str:
    """What was said and done, as plain text; the last ``limit`` tokens of it. Thoughts are left out."""
    lines: list[str] = []
    for message in messages:
        match message:
            case UserMessage():
                lines.append(f"User: {message.text}")
            case ToolResultMessage():
                lines.append(f"Result: {message.text}")
            case AssistantMessage():
                lines.extend([message.text] if message.text else [])
                lines.extend(
                    f"Call: {call.name} {json.dumps(dict(call.arguments), ensure_ascii=False, default=str)}"
                    for call in message.tool_calls
                )
    return _clip(conversation, "\n".join(lines), limit, keep_end=True)


def _clip(conversation: Conversation, text: str, limit: int, *, keep_end: bool = False) -> str:
    """At most ``limit`` tokens of the text: its beginning, or its end."""
    if conversation.count(text) <= limit:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        piece = text[-middle:] if keep_end else text[:middle]
        low, high = (middle, high) if conversation.count(piece) <= limit else (low, middle - 1)
    kept = text[len(text) - low :] if keep_end else text[:low]
    return f"[...]\n{kept}" if keep_end else f"{kept}\n[...]"
