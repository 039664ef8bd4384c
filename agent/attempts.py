"""The order in which ``agent fix`` tries things; pure.

Which order repairs most in a fixed time was measured on buggy functions other than those of the benchmark: the first
answer at temperature 0, then samples. Repeating at temperature 0 with the failure fed back gives the same code again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. ``prompt`` names the file below prompts/fix that asks for it.

    ``feedback`` goes on from the last answer and its failure; otherwise transcript and files start afresh.
    """

    strategy: str
    prompt: str
    temperature: float | None
    feedback: bool = False
    seed: int = 0
    max_tokens: int = 1536


def direct_attempts() -> Iterator[Attempt]:
    """For models that are asked for code: endless."""
    yield Attempt("the likeliest answer", "direct", 0.0)
    while True:
        yield Attempt("another sample", "direct", 0.8)
        yield Attempt("the failure fed back", "again", 0.6, feedback=True)
        yield Attempt("another sample", "direct", 1.0)


def tool_attempts() -> Iterator[Attempt]:
    """For models that use tools: endless."""
    yield Attempt("with tools", "tools", None)
    while True:
        yield Attempt("the failure fed back", "again_tools", None, feedback=True)
        yield Attempt("the failure fed back", "again_tools", None, feedback=True)
        yield Attempt("from the start", "tools", None)
