"""What crosses the border of the engine: requests in, events out; frozen values only.

Nothing here computes or holds a native handle, so that the same values can travel over a socket later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one token is drawn from the logits.

    ``temperature`` 0 is greedy. ``top_k`` (0: off) is applied before ``top_p`` (1.0: off) and ``min_p`` (0.0: off):
    top-p over 262,144 tokens without top-k first costs 20 ms a token. ``seed`` fixes the random draws.
    """

    temperature: float = 0.0
    top_k: int = 64
    top_p: float = 0.95
    min_p: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """A text of the output that stands behind the text ``opening`` between two of the ids ``mark``.

    If there are texts ``once_in``, it may end only where one of them has it exactly once, or exactly once as whole
    lines but for their blanks; with ``unlike`` only where it is not what the last passage was. One that cannot go on
    may end all the same.
    """

    opening: str
    mark: int
    once_in: tuple[str, ...] = ()
    unlike: bool = False


@dataclass(frozen=True, slots=True)
class Grammar:
    """Which tokens may follow, as a Lark grammar in llguidance's dialect.

    The grammar rules from the first generated token when ``from_start``; otherwise it starts after one of ``triggers``
    was generated (the trigger itself is not part of the grammar). When the grammar is complete, generation is
    free again until the next trigger, except that a complete ``from_start`` grammar with ``then_stop`` ends the
    request. ``passages`` are what it holds to besides while it rules.
    """

    lark: str
    triggers: frozenset[int] = frozenset()
    from_start: bool = False
    then_stop: bool = False
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """Behind the generated ids ``opening`` the output is text of another ``kind`` (thought, prose, arguments, ...).

    An opening of the kind that the output is in already ends it, and the one before goes on (code fences open and close
    alike). An empty opening tells what the output begins as. How well a draft is accepted differs by kind, so it is
    counted by kind.
    """

    opening: tuple[int, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Branch:
    """One continuation of a forked prompt: its own ``tokens`` (often none), then what is generated.

    The other fields are as in Request.
    """

    tokens: tuple[int, ...] = ()
    max_tokens: int = 1024
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop_ids: frozenset[int] = frozenset()
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One generation: the whole prompt from position 0 as token ids; the engine finds out what it has already read.

    ``checkpoints`` are token counts inside ``tokens`` worth a saved sliding window (end of the system part,
    starts of user turns), ascending. The first ``static`` tokens (system prompt and tools) begin other conversations
    too, and are worth keeping on disk. ``stop_ids`` end generation; the stop token is part of the output.
    ``references`` are texts, as token ids, that the output may copy from besides the prompt. ``regions`` tell the kinds
    of output apart; before the first opening it is prose. A ``background`` request runs only while nobody waits for
    another one, and is cancelled by the next that is not; what it read stays in the cache.

    With ``branches`` the prompt is read once and each of them is generated behind it, several in one batch: the events
    are BranchDecoded and BranchFinished, and ``max_tokens``, ``sampling``, ``stop_ids`` and ``grammar`` do not matter.
    With ``score`` nothing is generated: Scored tells how likely each of these continuations is behind the prompt.
    """

    id: str
    tokens: tuple[int, ...]
    max_tokens: int
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop_ids: frozenset[int] = frozenset()
    grammar: Grammar | None = None
    checkpoints: tuple[int, ...] = ()
    static: int = 0
    references: tuple[tuple[int, ...], ...] = ()
    regions: tuple[Region, ...] = ()
    background: bool = False
    branches: tuple[Branch, ...] = ()
    score: tuple[tuple[int, ...], ...] = ()


class FinishReason(StrEnum):
    """Why a request ended."""

    STOP = "stop"  # a stop id was generated, or the grammar was complete
    LENGTH = "length"  # max_tokens reached, or the context is full
    CANCELLED = "cancelled"
    REPETITION = "repetition"  # the output had become a loop


@dataclass(frozen=True, slots=True)
class DrafterStats:
    """What one drafter contributed: tokens that were verified, and those of them that the target kept."""

    name: str
    drafted: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """What one request cost. Tokens are counts, times are milliseconds.

    ``cached + prefilled`` is the length of the prompt; ``replayed`` tokens (part of ``prefilled``) had been read before
    and were read again behind a restored checkpoint; ``loaded`` ones (part of ``cached``) came from disk.
    ``drafters`` splits up ``drafted_tokens`` and ``accepted_tokens``.
    """

    cached_tokens: int = 0
    prefilled_tokens: int = 0
    replayed_tokens: int = 0
    loaded_tokens: int = 0
    decoded_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    drafters: tuple[DrafterStats, ...] = ()


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """So many of the tokens that had to be read are read."""

    done: int
    total: int
    cached: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class TokensDecoded:
    """One or more generated token ids, in order (several when a draft was accepted, or decodes are quick)."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BranchDecoded:
    """Generated token ids of the request's branch ``branch`` (an index), in order."""

    branch: int
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BranchFinished:
    """The last event of a branch."""

    branch: int
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Scored:
    """Natural logarithms of probabilities (at temperature 1, of the whole vocabulary): one a token, by continuation."""

    log_probs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a request."""

    reason: FinishReason
    stats: Stats


EngineEvent = PrefillProgress | TokensDecoded | BranchDecoded | BranchFinished | Scored | Finished
