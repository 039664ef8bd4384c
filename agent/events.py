"""AgentEvent: everything that a user interface or a JSON stream may learn.

Plain facts in the past tense, complete in themselves: no futures, no callbacks, no markup, no computing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.messages import AssistantMessage, ToolCall, Usage


class RunEnd(StrEnum):
    """Why a run ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    LIMIT = "limit"
    REPETITION = "repetition"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A session is open."""

    session_id: str
    model: str
    context_tokens: int
    cwd: str
    mode: str
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A user message was accepted and is being worked on."""

    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The model is asked; ``turn`` counts from 1 in a run."""

    turn: int


@dataclass(frozen=True, slots=True)
class PrefillProgressed:
    """``done`` of ``total`` new prompt tokens are read; ``cached`` needed no reading."""

    done: int
    total: int
    cached: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class TextStreamed:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtStreamed:
    """A piece of a thought."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStreamed:
    """A raw piece of a call that is still being written."""

    call_id: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """One model response is complete; ``context_used`` counts the transcript's tokens."""

    message: AssistantMessage
    context_used: int


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """The run waits for ``session.answer(request_id, ...)``.

    ``preview`` is a unified diff or the command, unabridged; ``warnings`` name what in it can deceive the eye, a
    sentence each. ``remember`` is the rule that "always" would keep; None: it would allow this one call only.
    """

    request_id: str
    call: ToolCall
    reason: str
    preview: str
    remember: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalAnswered:
    """A decision was made: "allow", "allow_session", "allow_always" or "deny"."""

    request_id: str
    decision: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A call passed its checks and runs."""

    call: ToolCall
    summary: str


@dataclass(frozen=True, slots=True)
class ToolOutputStreamed:
    """A piece of live output."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A call ended; ``text`` is what the model reads."""

    call_id: str
    name: str
    text: str
    is_error: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class FileChanged:
    """A file was written; ``diff`` is unified; ``path`` is relative to the workspace."""

    path: str
    diff: str
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class TodoItem:
    """One line of the todo list; ``status`` is pending, in_progress or completed."""

    text: str
    status: str


@dataclass(frozen=True, slots=True)
class TodosChanged:
    """The whole list as it is now."""

    items: tuple[TodoItem, ...]


@dataclass(frozen=True, slots=True)
class Steered:
    """A message that came while the run was going on was given to the model."""

    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class RepetitionNoticed:
    """The same call came ``count`` times in a row; the model was warned, or the run is stopped (``stopped``)."""

    name: str
    count: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class CompactionFinished:
    """Old turns were replaced by a summary; token counts of the transcript."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know, in one sentence."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event of a run; ``text`` is the final answer."""

    end: RunEnd
    text: str
    turns: int
    seconds: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class TestsStarted:
    """``agent fix`` runs the test command."""

    __test__ = False  # not a test case, whatever its name says to pytest

    command: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TestsFinished:
    """The test command ended; ``failed`` and ``passed`` are counts where they could be read from the output, else
    None."""

    __test__ = False  # not a test case, whatever its name says to pytest

    green: bool
    passed: int | None
    failed: int | None
    seconds: float
    summary: str


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """``agent fix`` begins attempt ``attempt`` (from 1) after a rewind of files and transcript."""

    attempt: int
    strategy: str


AgentEvent = (
    SessionStarted
    | RunStarted
    | TurnStarted
    | PrefillProgressed
    | TextStreamed
    | ThoughtStreamed
    | ToolCallStreamed
    | TurnFinished
    | ApprovalRequested
    | ApprovalAnswered
    | ToolStarted
    | ToolOutputStreamed
    | ToolFinished
    | FileChanged
    | TodosChanged
    | Steered
    | RepetitionNoticed
    | CompactionFinished
    | Notice
    | RunFinished
    | TestsStarted
    | TestsFinished
    | AttemptStarted
)
