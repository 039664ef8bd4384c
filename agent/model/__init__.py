"""The Model and Conversation protocols: the seam between the loop and whatever answers.

``agent.model.local`` answers with inference.Engine; tests have a ScriptedModel.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from agent.messages import AssistantMessage, ToolCall, ToolResultMessage, ToolSpec


@dataclass(frozen=True, slots=True)
class Quotable:
    """What a call of ``tool`` can be held to: its argument ``path`` names one of ``files`` (path and content, line ends
    as ``\\n``), its argument ``quote``, at any depth, is a piece of one of them that stands there once, and its
    argument ``instead`` behind it something else.

    With ``parts``, pieces of the files by path, only these are quoted, and once is counted in them.
    """

    tool: str
    path: str
    quote: str
    instead: str
    files: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...] = ()

    @property
    def quoted(self) -> tuple[tuple[str, str], ...]:
        """What quotations are taken from, with its path."""
        return self.parts or self.files


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """How one response is generated. None means: as the model's catalogue entry says; ``warmer`` is added to that or to
    the given temperature.

    The response begins with the text ``prefix``, as if the model had chosen it. It ends before the first of the texts
    ``stop`` that the model writes after it.
    ``tool_choice``: "auto" lets the model decide; "required" makes the response begin with a tool call; "none" forbids
    calls. ``tool_name`` narrows "required" to one tool.
    ``references`` are texts that the model is likely to repeat although it has not read them here; they make it faster
    and never change what it writes.
    ``quotable`` holds quotations of files to what is there, in formats whose grammar can say so.
    """

    max_tokens: int = 4096
    temperature: float | None = None
    seed: int = 0
    tool_choice: Literal["auto", "required", "none"] = "auto"
    tool_name: str | None = None
    prefix: str = ""
    stop: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    quotable: Quotable | None = None
    warmer: float = 0.0


@dataclass(frozen=True, slots=True)
class PromptRead:
    """Progress of prefill: ``done`` of ``total`` tokens that had to be read; ``cached`` came from the KV cache."""

    done: int
    total: int
    cached: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class TextAdded:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtAdded:
    """A piece of the model's thoughts."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """The model began to write a call."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallAdded:
    """A raw piece of the call being written (for live display only)."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallParsed:
    """A call is complete."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ResponseFinished:
    """The last event: the whole response."""

    message: AssistantMessage


ModelEvent = PromptRead | TextAdded | ThoughtAdded | ToolCallStarted | ToolCallAdded | ToolCallParsed | ResponseFinished


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the loop and the screen need to know of a model."""

    name: str
    context_tokens: int
    thinks: bool
    small: bool  # at most about 5B parameters: fewer tools, more scaffolding


@dataclass(frozen=True, slots=True)
class Dump:
    """A conversation for the store: ``header`` says whose it is; one of the ``parts`` for every step of ``mark``."""

    header: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One token of a given text: its ``text``, and the natural logarithm of its probability."""

    text: str
    logprob: float


class Conversation(Protocol):
    """The token transcript of one session: append-only, except for ``rewind`` and thoughts that the format drops.

    Contract: ids that were sampled are kept as sampled and never rendered again. ``mark`` and ``rewind`` cost
    nothing but
    the re-reading of what follows the nearest checkpoint. One response at a time.
    """

    @property
    def token_count(self) -> int:
        """Tokens in the transcript now."""
        ...

    def add_user(self, text: str) -> None:
        """Append a user message."""
        ...

    def add_tool_results(self, results: Sequence[ToolResultMessage]) -> None:
        """Append the results of the calls of the last response, in their order."""
        ...

    def respond(self, options: ResponseOptions) -> AsyncIterator[ModelEvent]:
        """Stream one response and append its ids; ends with ResponseFinished. Closing it early cancels and keeps
        the ids so far.

        Raises inference errors (ContextOverflow, ...) wrapped as AgentError where a person can act on them.
        """
        ...

    def prepare(self, beginning: str = "") -> None:
        """Read in the background what a user message will follow, and the text ``beginning`` that it will begin with.

        Nothing is appended. It is dropped as soon as anything else is asked; a running event loop is needed.
        """
        ...

    def expect_results(self, results: Sequence[ToolResultMessage], partial: ToolResultMessage | None = None) -> None:
        """Read in the background the first results of the last response's calls, and the certain beginning of the one
        that follows; as ``prepare``."""
        ...

    def mark(self) -> int:
        """A point to come back to."""
        ...

    def rewind(self, mark: int) -> None:
        """Forget everything after ``mark``."""
        ...

    def count(self, text: str) -> int:
        """Exact number of tokens of plain text."""
        ...

    def dump(self, since: int = 0) -> Dump:
        """The transcript for the store; only the parts after the mark ``since``, which never change once written."""
        ...


class Model(Protocol):
    """Something that answers; owns the engine."""

    @property
    def info(self) -> ModelInfo:
        """Facts; available after ``start``."""
        ...

    async def start(self) -> None:
        """Load; raises ModelError. Again: see that it is still there, and load it anew where it is not."""
        ...

    def open(self, system: str, tools: Sequence[ToolSpec]) -> Conversation:
        """A new conversation with this system prompt and these tools."""
        ...

    def restore(self, dumped: Dump) -> Conversation:
        """A conversation from ``Conversation.dump``; raises ValueError when it was made by another model."""
        ...

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
        """For each text its tokens, as they would follow ``prefix`` (plain text, no chat); the prefix is read once."""
        ...

    async def preferences(self, prefix: str, base: str, variants: Sequence[str]) -> list[float]:
        """For each variant how much likelier than ``base`` it is at the first token where it leaves it (natural
        logarithm of the odds; minus infinity where it never does). Costs one reading of ``base``."""
        ...

    async def close(self) -> None:
        """Free everything."""
        ...

    async def shares(self, questions: Sequence[str], answers: Sequence[str]) -> list[list[float]]:
        """For each question (a user message) how the model divides its belief among ``answers`` (beginnings of its
        reply, without thinking first); each row adds up to 1. What the questions begin with alike is read once."""
        ...
