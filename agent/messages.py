"""The messages of a conversation, as plain frozen values.

Token ids are not here: the transcript that the model really read belongs to ``agent.model``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model is told of it; ``parameters`` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model made. ``error`` is set when its text could not be parsed (``arguments`` is then empty)."""

    id: str
    name: str
    arguments: Mapping[str, object]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Drafted:
    """What one drafter contributed, in tokens: those that were verified, and those of them that were kept."""

    drafter: str
    drafted: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and milliseconds, added up over the requests they belong to; ``loaded`` tokens (of the cached ones) came
    from disk. ``drafters`` splits up ``drafted_tokens`` and ``accepted_tokens``."""

    cached_tokens: int = 0
    prefilled_tokens: int = 0
    decoded_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    loaded_tokens: int = 0
    drafters: tuple[Drafted, ...] = ()

    def __add__(self, other: Usage) -> Usage:
        """The sum of both."""
        return Usage(
            self.cached_tokens + other.cached_tokens,
            self.prefilled_tokens + other.prefilled_tokens,
            self.decoded_tokens + other.decoded_tokens,
            self.drafted_tokens + other.drafted_tokens,
            self.accepted_tokens + other.accepted_tokens,
            self.prefill_ms + other.prefill_ms,
            self.decode_ms + other.decode_ms,
            self.loaded_tokens + other.loaded_tokens,
            _added(self.drafters, other.drafters),
        )

    @property
    def decode_tps(self) -> float:
        """Generated tokens a second; 0 when nothing was generated."""
        return 1000.0 * self.decoded_tokens / self.decode_ms if self.decode_ms else 0.0


def _added(*parts: tuple[Drafted, ...]) -> tuple[Drafted, ...]:
    """One entry a drafter, in the order in which they first came."""
    sums: dict[str, Drafted] = {}
    for each in (each for part in parts for each in part):
        before = sums.get(each.drafter, Drafted(each.drafter, 0, 0))
        sums[each.drafter] = Drafted(each.drafter, before.drafted + each.drafted, before.accepted + each.accepted)
    return tuple(sums.values())


class StopReason(StrEnum):
    """Why a model response ended."""

    END = "end"  # the model ended its answer
    TOOL_CALLS = "tool_calls"
    LENGTH = "length"
    CANCELLED = "cancelled"
    REPETITION = "repetition"


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What the user (or ``agent fix`` in their place) said."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """One model response."""

    id: str
    text: str
    thought: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stop_reason: StopReason = StopReason.END
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class ToolResultMessage:
    """What a tool call came to; ``text`` is what the model reads."""

    call_id: str
    name: str
    text: str
    is_error: bool = False


Message = UserMessage | AssistantMessage | ToolResultMessage
