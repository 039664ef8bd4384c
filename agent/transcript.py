"""The conversation of one session: messages for people, token ids for the model, and their copy in the store.

It asks nobody and runs nothing; ``agent.loop`` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from agent.errors import StoreError, UsageError
from agent.messages import AssistantMessage, Message, ToolResultMessage, UserMessage
from agent.model import Conversation, Dump, ModelEvent, ResponseOptions


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store keeps beside the messages: the conversation's parts after its first ``first`` ones.

    A compaction begins a new conversation; ``generation`` counts them.
    """

    dump: Dump
    generation: int
    first: int = 0


class TranscriptLog(Protocol):
    """Where a transcript is kept; ``agent.store`` has the one in SQLite."""

    def append(self, messages: Sequence[Message], positions: Sequence[int], snapshot: Snapshot) -> None:
        """Keep new messages durably; ``positions`` are the conversation's marks before each. Raises StoreError."""
        ...

    def truncate(self, count: int, snapshot: Snapshot) -> None:
        """Keep the first ``count`` messages only; raises StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class TranscriptMark:
    """A point to come back to: a conversation, a mark in it, and the number of messages."""

    conversation: Conversation
    position: int
    messages: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a rewind took away, to bring it back: a transcript as it was, with a conversation of its own."""

    conversation: Conversation
    messages: tuple[Message, ...]
    positions: tuple[int, ...]
    before: Mapping[str, TranscriptMark]


class Transcript:
    """Owns the messages and the Conversation; goes on without its log when that fails."""

    def __init__(self, conversation: Conversation, log: TranscriptLog | None = None) -> None:
        self._conversation = conversation
        self._log = log
        self._trouble: str | None = None
        self._messages: list[Message] = []
        self._positions: list[int] = []  # before each message of the present conversation
        self._generation = 0
        self._logged = 0  # parts of the conversation that the log has
        self._before: dict[str, TranscriptMark] = {}  # by id of a user message: the point before it

    @property
    def messages(self) -> tuple[Message, ...]:
        """Everything said so far, compacted or not."""
        return tuple(self._messages)

    @property
    def conversation(self) -> Conversation:
        """The token transcript that the model reads now."""
        return self._conversation

    @property
    def positions(self) -> tuple[int, ...]:
        """Marks in the present conversation, one before each message that it has, ascending."""
        return tuple(self._positions)

    @property
    def token_count(self) -> int:
        """Tokens in the conversation now."""
        return self._conversation.token_count

    def resume(self, messages: Sequence[Message], generation: int, positions: Sequence[int] | None) -> None:
        """Take over what a store had kept. ``positions`` are the marks before the last messages, which are those of
        the conversation given at the start; None: the store knows nothing of this conversation."""
        self._messages = list(messages)
        self._generation = generation if positions is not None else generation + 1
        self._logged = self._conversation.mark() if positions is not None else 0
        self._positions = list(positions or ())
        first = len(messages) - len(self._positions)
        self._before = {
            message.id: TranscriptMark(self._conversation, position, first + index)
            for index, (message, position) in enumerate(zip(messages[first:], self._positions, strict=True))
            if isinstance(message, UserMessage)
        }

    def add_user(self, message: UserMessage, preface: str = "") -> None:
        """Append a user message; the model reads ``preface`` (environment, instructions) before its text."""
        mark = self.mark()
        self._before[message.id] = mark
        self._conversation.add_user(preface + message.text)
        self._keep([message], [mark.position])

    def respond(self, options: ResponseOptions) -> AsyncIterator[ModelEvent]:
        """Ask the model; the caller appends the finished message with ``add_response``."""
        return self._conversation.respond(options)

    def add_response(self, message: AssistantMessage) -> None:
        """Append a response, whose tokens the conversation already has."""
        self._keep([message], [self._conversation.mark()])

    def add_results(self, results: Sequence[ToolResultMessage]) -> None:
        """Append the results of the last response's calls."""
        position = self._conversation.mark()
        self._conversation.add_tool_results(results)
        self._keep(results, [position] * len(results))

    def prepare(self, beginning: str = "") -> None:
        """Have read in the background what the next user message follows, and its ``beginning``."""
        self._conversation.prepare(beginning)

    def expect_results(self, results: Sequence[ToolResultMessage], partial: ToolResultMessage | None = None) -> None:
        """Have read in the background what is known already of the results of the last response's calls."""
        self._conversation.expect_results(results, partial)

    def take_trouble(self) -> str | None:
        """Why the log failed, in a sentence; told once."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def mark(self) -> TranscriptMark:
        """The point that is now."""
        return TranscriptMark(self._conversation, self._conversation.mark(), len(self._messages))

    def can_rewind(self, message_id: str) -> bool:
        """Whether there is a point before this user message to come back to."""
        return message_id in self._before

    def mark_before(self, message_id: str) -> TranscriptMark:
        """The point before a user message; raises UsageError when there is none to come back to."""
        if mark := self._before.get(message_id):
            return mark
        raise UsageError(f"There is no message {message_id} to go back to in this session.")

    def rewind(self, mark: TranscriptMark) -> None:
        """Forget everything after ``mark``, also across a compaction."""
        self._switch(mark.conversation)
        self._conversation.rewind(mark.position)
        self._logged = min(self._logged, mark.position)
        del self._messages[mark.messages :]
        self._positions = [each for each in self._positions if each < mark.position]
        kept = {message.id for message in self._messages if isinstance(message, UserMessage)}
        self._before = {message_id: each for message_id, each in self._before.items() if message_id in kept}
        self._write(lambda log, snapshot: log.truncate(len(self._messages), snapshot))

    def remember(self, conversation: Conversation) -> Forgotten:
        """The transcript as it is now; ``conversation`` is a copy of its present one."""
        before = {
            message_id: replace(mark, conversation=conversation) if mark.conversation is self._conversation else mark
            for message_id, mark in self._before.items()
        }
        return Forgotten(conversation, self.messages, self.positions, before)

    def bring_back(self, forgotten: Forgotten) -> None:
        """Be again as ``remember`` found it; what is there now must be its beginning."""
        self._switch(forgotten.conversation)
        count = len(self._messages)
        self._messages = list(forgotten.messages)
        self._positions = list(forgotten.positions)
        # The conversation of before a compaction may have been shortened by the rewind, and has no copy.
        there = {key: mark for key, mark in forgotten.before.items() if mark.position <= mark.conversation.mark()}
        self._before = there
        new = self._messages[count:]
        # Positions are known of the present conversation's messages only, which are the last ones.
        known = self._positions[-len(new) :] if new else []
        positions = [0] * (len(new) - len(known)) + known
        self._write(lambda log, snapshot: log.append(new, positions, snapshot))

    def replace_conversation(self, conversation: Conversation) -> None:
        """Go on with another conversation that says the same in fewer tokens; the messages stay."""
        self._switch(conversation)
        self._positions = []
        self._write(lambda log, snapshot: log.append([], [], snapshot))

    def _keep(self, messages: Sequence[Message], positions: Sequence[int]) -> None:
        self._messages.extend(messages)
        self._positions.extend(positions)
        self._write(lambda log, snapshot: log.append(messages, positions, snapshot))

    def _switch(self, conversation: Conversation) -> None:
        """Go on with a conversation; another one is a new generation, of which the log has nothing yet."""
        if conversation is not self._conversation:
            self._conversation = conversation
            self._generation += 1
            self._logged = 0

    def _write(self, write: Callable[[TranscriptLog, Snapshot], None]) -> None:
        if self._log is None:
            return
        try:
            write(self._log, Snapshot(self._conversation.dump(self._logged), self._generation, self._logged))
            self._logged = self._conversation.mark()
        except StoreError as error:
            self._log = None
            self._trouble = f"{error} This session is no longer kept."
