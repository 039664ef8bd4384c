"""Rows of entries: what did not change is not made again, and whatever the order of events they are the right ones."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style
from textual.strip import Strip

from tui.palette import PALETTES
from tui.rendering.entries import Look
from tui.view_state import Answer, Entry, Prompted
from tui.widgets.entry_strips import KEPT_ROWS, EntryStrips, same_rows

PIECES = st.sampled_from(
    ["# Title\n", "\n", "some *text*", " and `code`\n", "- one\n", "```python\n", "x = 1\n", "```\n", "a" * 90, "\t"]
)


def strips() -> EntryStrips:
    return EntryStrips(60, PALETTES["dark"], Style())


def texts(rows: list[Strip]) -> list[str]:
    return [strip.text for strip in rows]


def test_a_growing_answer_makes_only_its_last_rows_anew() -> None:
    kept = strips()
    code = "A file:\n\n```python\n" + "".join(f"line_{number} = {number}\n" for number in range(200))
    before = kept.of(Answer(1, code), Look())
    after = kept.of(Answer(1, code + "last = 1\n"), Look())
    assert len(after) == len(before) + 1
    assert same_rows(before, after) >= len(before) - 1


@settings(max_examples=25, deadline=None)
@given(st.lists(PIECES, max_size=20))
def test_a_growing_answer_has_the_rows_of_one_that_was_always_that_long(pieces: list[str]) -> None:
    kept, text = strips(), ""
    for piece in pieces:
        text += piece
        grown = kept.of(Answer(1, text), Look())
        assert texts(grown) == texts(strips().of(Answer(1, text), Look()))
    assert texts(kept.of(Answer(1, text, done=True), Look())) == texts(strips().of(Answer(1, text, done=True), Look()))


def test_no_more_rows_are_kept_than_a_few_screens_have() -> None:
    kept = strips()
    entries: list[Entry] = [Prompted(key, f"m{key}", "word\n" * 50) for key in range(100)]
    for entry in entries:
        assert len(kept.of(entry, Look())) > 50
    held = [entry for entry in entries if kept.kept(entry)]
    assert 8 <= len(held) <= KEPT_ROWS // 50
    assert held == entries[-len(held) :]


def test_a_stale_entry_is_drawn_as_it_looks_now() -> None:
    kept = strips()
    entry = Prompted(1, "m", "the same")
    before = kept.of(entry, Look())
    assert kept.of(entry, Look()) is before
    kept.stale(entry)
    assert texts(kept.of(entry, Look())) == texts(before)
