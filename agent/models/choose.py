"""Which model to run when nobody named one: by free memory, by what is here already, by what the machine can bear.

Pure: it asks neither memory nor disk nor network; the numbers are given.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agent.errors import TooBigForMemory
from agent.models.catalog import Catalog, Entry
from inference.memory import MINIMUM_CONTEXT

FALLBACK_CONTEXTS = (16_384, 8_192, MINIMUM_CONTEXT)


@dataclass(frozen=True, slots=True)
class Choice:
    """The entry to run, the context in tokens that fits with it, and why, in one sentence."""

    entry: Entry
    context: int
    reason: str


def choose(
    catalog: Catalog, available: int, wanted_context: int, have: Collection[str] = (), gpu: bool = False
) -> Choice:
    """The best model whose weights and KV cache fit into ``available`` bytes.

    A model that is here (``have``: catalogue names) is taken before one that must be fetched, unless it is a last
    resort. Without a ``gpu``, models that a CPU runs too slowly are not chosen unasked. When nothing fits at the wanted
    context, smaller contexts are tried. Raises TooBigForMemory when nothing fits at all.
    """
    contexts = [wanted_context, *(context for context in FALLBACK_CONTEXTS if context < wanted_context)]
    for last_resort in (False, True):
        eligible = [each for each in catalog.model if each.last_resort is last_resort]
        eligible = [each for each in eligible if gpu or not each.needs_gpu or each.name in have]
        for context in contexts:
            fitting = [each for each in eligible if each.needed_bytes(min(context, each.context)) <= available]
            if fitting:
                here = [each for each in fitting if each.name in have]
                best = max(here or fitting, key=lambda each: each.preference)
                return Choice(best, min(context, best.context), _reason(best, context, available, bool(here)))
    least = min(catalog.model, key=lambda each: each.model_bytes, default=None)
    smallest = f"even {least.title} needs {_gib(least.needed_bytes(MINIMUM_CONTEXT))}" if least else "none is known"
    raise TooBigForMemory(
        f"No model fits into the {_gib(available)} of free memory ({smallest}); close other programs."
    )


def _reason(entry: Entry, context: int, available: int, here: bool) -> str:
    tokens = min(context, entry.context)
    state = "the best model here" if here else "the best model"
    return (
        f"{entry.title} is {state} that fits: it needs {_gib(entry.needed_bytes(tokens))} of the {_gib(available)} "
        f"of free memory with {tokens:,} tokens of context."
    )


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"


def largest_context(entry: Entry, available: int) -> int:
    """How many tokens of context fit with this entry into ``available`` bytes, in steps of 1,024; 0 when too few do."""
    free = available - entry.needed_bytes(0)
    per_token = (entry.needed_bytes(1024) - entry.needed_bytes(0)) // 1024
    tokens = min(entry.context, max(0, free) // max(1, per_token))
    return tokens // 1024 * 1024 if tokens >= min(MINIMUM_CONTEXT, entry.context) else 0
