"""What the screen shows, as plain frozen values; every text in them is already clean.

Nothing here computes, draws, or imports a toolkit: ``tui.presenter`` makes these values, widgets read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from agent.events import TodoItem
from agent.messages import Usage


class CallState(StrEnum):
    """How far a tool call is."""

    WRITING = "writing"  # the model still writes it
    WAITING = "waiting"  # a person is asked
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    STOPPED = "stopped"  # the run ended before the call did


class Phase(StrEnum):
    """What the agent is doing now."""

    IDLE = "idle"
    STARTING = "starting"
    PREFILL = "prefill"
    DECODE = "decode"
    TOOL = "tool"
    TESTS = "tests"
    ASKING = "asking"


@dataclass(frozen=True, slots=True)
class Prompted:
    """A message of the user's; ``message_id`` is what a rewind needs."""

    key: int
    message_id: str
    text: str
    steered: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Text of the model's, Markdown; ``done`` when nothing will be added."""

    key: int
    text: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Thought:
    """What the model thought before it answered; ``began`` on the fold's clock, ``seconds`` once it is done."""

    key: int
    text: str
    began: float
    done: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One changed file as a unified diff."""

    path: str
    diff: str
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class ToolCard:
    """One tool call.

    ``raw`` is the call as it is being written, ``output`` the end of what it prints while it runs, ``result`` what the
    model reads in the end. ``began`` is on the fold's clock.
    """

    key: int
    call_id: str
    name: str
    state: CallState
    summary: str = ""
    raw: str = ""
    output: str = ""
    result: str = ""
    note: str = ""
    began: float = 0.0
    seconds: float = 0.0
    diffs: tuple[FileDiff, ...] = ()


@dataclass(frozen=True, slots=True)
class TestRun:
    """A run of the tests in ``agent fix``; ``green`` is None while they run."""

    __test__ = False  # not a test case, whatever its name says to pytest

    key: int
    command: str
    green: bool | None = None
    said: str = ""
    summary: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Note:
    """One sentence for the user."""

    key: int
    text: str
    is_error: bool = False
    quiet: bool = False  # worth a faint line only


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run in one faint line; ``how`` is empty when it simply was done."""

    key: int
    how: str
    seconds: float
    usage: Usage


Entry = Prompted | Answer | Thought | ToolCard | TestRun | Note | Ended


@dataclass(frozen=True, slots=True)
class Approval:
    """A question that waits for an answer.

    ``preview`` is a unified diff or the command, unabridged, with every hidden character in sight; ``warnings`` name
    what in it can deceive the eye. ``remember`` is the rule that "always" would keep.
    """

    request_id: str
    call_id: str
    name: str
    path: str
    reason: str
    preview: str
    is_command: bool = False
    remember: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that waits: given to the running model with its next turn (``steer``), or sent after the run."""

    id: str
    text: str
    steer: bool


@dataclass(frozen=True, slots=True)
class Prefill:
    """Reading the prompt: counts of tokens; ``seconds_left`` as estimated at ``at`` on the fold's clock."""

    done: int
    total: int
    cached: int
    seconds_left: float
    at: float


@dataclass(frozen=True, slots=True)
class Status:
    """The facts of the status line.

    ``pieces`` were streamed since ``decode_since``; ``last`` is the latest response's usage, ``total`` the session's.
    """

    session_id: str = ""
    model: str = ""
    cwd: str = ""
    mode: str = "default"
    context_tokens: int = 0
    context_used: int = 0
    phase: Phase = Phase.IDLE
    turn: int = 0
    run_since: float = 0.0
    prefill: Prefill | None = None
    pieces: int = 0
    decode_since: float = 0.0
    latest: float = 0.0
    last: Usage = field(default_factory=Usage)
    total: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class ViewState:
    """Everything that the main screen shows."""

    entries: tuple[Entry, ...] = ()
    status: Status = field(default_factory=Status)
    running: bool = False
    approvals: tuple[Approval, ...] = ()
    todos: tuple[TodoItem, ...] = ()
    pending: tuple[Pending, ...] = ()
    next_key: int = 1
