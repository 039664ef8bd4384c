"""What is asked of every system, what it says of the answer, and the seam between workloads and systems.

It starts no process and measures nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Completion:
    """A greedy continuation of ``prompt`` (token ids) by at most ``max_tokens``; it ends behind one of ``stop``.

    ``checkpoints`` are places in the prompt that a later prompt may go back to (a server finds its own). With nothing
    in ``stop`` exactly ``max_tokens`` are generated: the model's own end-of-text tokens do not count.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    stop: tuple[int, ...] = ()
    checkpoints: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer and its cost. Times are milliseconds.

    ``prefill_ms`` and ``decode_ms`` are what the system says of itself; ``decode_ms`` begins with the first token,
    which is counted. ``first_ms`` (to the first token) and ``wall_ms`` (to the last) are the client's clock.
    """

    ids: tuple[int, ...]
    cached: int
    prefilled: int
    prefill_ms: float
    decode_ms: float
    first_ms: float
    wall_ms: float
    drafted: int = 0
    accepted: int = 0

    @property
    def decode_tps(self) -> float:
        """Generated tokens a second."""
        return 1000 * len(self.ids) / max(self.decode_ms, 1e-6)

    @property
    def prefill_tps(self) -> float:
        """Tokens read a second."""
        return 1000 * self.prefilled / max(self.prefill_ms, 1e-6)


@dataclass(frozen=True, slots=True)
class Setting:
    """How one system is run. ``flags`` are llama-server's; ours and ``Llama`` have a few of their own in ``options``.

    ``environment`` is added to the process's own.
    """

    name: str
    kind: str
    flags: tuple[str, ...] = ()
    options: dict[str, str | int] = field(default_factory=dict[str, str | int])
    environment: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Common:
    """What all systems of one run have in common: the model file, context in tokens, threads, rows computed at once."""

    model: Path
    context: int
    threads: int
    batch: int = 512


class System(Protocol):
    """One program that answers Completions; idle between them."""

    @property
    def name(self) -> str:
        """The setting's name, for tables."""
        ...

    @property
    def version(self) -> str:
        """What is known of the llama.cpp inside."""
        ...

    @property
    def pid(self) -> int:
        """Its process, once it runs."""
        ...

    def start(self) -> None:
        """Load the model and wait until it answers."""
        ...

    def complete(self, completion: Completion) -> Reply:
        """Answer; blocks."""
        ...

    def prepare(self, completion: Completion) -> None:
        """The user reads: time to get ready for a prompt that will begin like this one. Most systems do nothing."""
        ...

    def close(self) -> None:
        """End the process."""
        ...
