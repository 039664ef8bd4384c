"""How an edit quotes a file: short, from the mistake on, and at one place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.quotations import Pair, Quoter

PIECES: list[bytes] = []


def encode(text: str) -> list[int]:
    """Words with the space before them, and single signs."""
    found: list[int] = []
    for piece in re.findall(r" ?\w+|\s|[^\w\s]", text):
        if piece.encode() not in PIECES:
            PIECES.append(piece.encode())
        found.append(PIECES.index(piece.encode()))
    return found


QUOTER = Quoter(encode, lambda number: PIECES[number])
CODE = "def area(a, b):\n    if a < b:\n        return a * b\n    return a * a\n"


@pytest.mark.parametrize(
    ("line", "wanted", "short"),
    [
        ("    if a < b:", "    if a > b:", (" <", " >")),
        ("        return a * b", "        return a + b", (" * b", " + b")),  # the sign stands there twice
        ("    return a * a", "    return b * a", (" return a * a", " return b * a")),
        ("    if a < b:", "    if not a < b:", (" if a", " if not a")),
        ("    if a < b:", "    if a < b", (" b:", " b")),
        ("(a, b)", "(b)", ("(a, b", "(b")),
    ],
)
def test_a_quotation_begins_before_the_mistake_and_ends_where_it_stands_once(
    line: str, wanted: str, short: Pair
) -> None:
    assert QUOTER.shortened((line, wanted), CODE) == short


@given(st.text("ab <>\n", min_size=1, max_size=30), st.text("ab <>\n", max_size=30), st.data())
def test_the_change_is_the_same(old: str, new: str, data: st.DataObject) -> None:
    text = data.draw(st.text("ab <>\n", max_size=20)) + old + data.draw(st.text("ab <>\n", max_size=20))
    if text.count(old) == 1 and old != new:
        find, replace = QUOTER.shortened((old, new), text)
        assert text.count(find) == 1
        assert text.replace(find, replace) == text.replace(old, new)


def test_no_character_is_cut_in_two() -> None:
    # One token a byte: the two letters differ in the second byte only.
    bytewise = Quoter(lambda text: list(text.encode()), lambda number: bytes([number]))
    assert bytewise.shortened(("x = é", "x = è"), "x = é\ny = é\n")[1].endswith("è")
