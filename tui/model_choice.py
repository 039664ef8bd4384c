"""The models to choose from as lines of a list: size, memory, what fits, what is here; and which is the best here.

It fetches and loads nothing.
"""

from __future__ import annotations

from agent.clean import clean
from agent.errors import TooBigForMemory
from agent.models.catalog import Entry
from agent.models.choose import choose, largest_context
from agent.models.fetch import WANTED_CONTEXT, ModelOptions
from agent.models.local import all_local, fetched, other_files
from inference.host_files import obtainable_bytes
from tui.palette import Palette
from tui.rendering.words import bytes_text, tokens_text
from tui.screens.dialog import option_text
from tui.screens.picker import Choice

_WIDE = 92  # cells that a line with everything takes


def has_local_model() -> bool:
    """Whether a model of the catalogue was fetched to this machine."""
    options = ModelOptions()
    return bool(fetched(options.places, options.catalog))


def model_choices(palette: Palette, width: int) -> tuple[list[Choice], str | None]:
    """One line of at most ``width`` cells a model, and the name of the one that fits this machine best."""
    options = ModelOptions()
    available = obtainable_bytes()
    here = all_local(options.places, options.catalog)
    try:
        best = choose(options.catalog, available, WANTED_CONTEXT, here).entry.name
    except TooBigForMemory:
        best = None
    line = _choice if width >= _WIDE else _short_choice
    choices = [
        line(entry, palette, available, (entry.name in here, entry.name == best)) for entry in options.catalog.model
    ]
    for path in other_files(options.places, options.catalog):
        name = clean(path.stem)
        text = option_text((f"{name:<26.26}", palette.text), (f" {bytes_text(path.stat().st_size):>8}", palette.muted))
        choices.append(Choice(str(path), text, name))
    return choices, best


def _choice(entry: Entry, palette: Palette, available: int, known: tuple[bool, bool]) -> Choice:
    is_here, is_best = known
    fits = largest_context(entry, available)
    size = bytes_text(entry.model_bytes + entry.drafter_bytes)
    needs = bytes_text(entry.needed_bytes(min(fits or entry.context, WANTED_CONTEXT)))
    memory = f"{tokens_text(fits)} tokens fit" if fits else f"too big: needs {needs}"
    text = option_text(
        ("● " if is_here else "○ ", palette.ok if is_here else palette.faint),
        (f"{entry.title:<24.24}", palette.text),
        (f" {size:>8}", palette.muted),
        (f"  {memory:<18}", palette.muted if fits else palette.error),
        (f" {'here' if is_here else 'to fetch'}", palette.muted),
        ("  best for this machine" if is_best else "", palette.accent),
    )
    return Choice(entry.name, text, f"{entry.title} {entry.name}")


def _short_choice(entry: Entry, palette: Palette, available: int, known: tuple[bool, bool]) -> Choice:
    """The same for little room: what is here is told by its mark alone."""
    is_here, is_best = known
    fits = largest_context(entry, available)
    text = option_text(
        ("● " if is_here else "○ ", palette.ok if is_here else palette.faint),
        (f"{entry.title:<18.18}", palette.text),
        (f" {bytes_text(entry.model_bytes + entry.drafter_bytes):>7}", palette.muted),
        (f"  {tokens_text(fits)} fit" if fits else "  too big", palette.muted if fits else palette.error),
        ("  best here" if is_best else "", palette.accent),
    )
    return Choice(entry.name, text, f"{entry.title} {entry.name}")
