"""How an edit quotes a file: from the line's beginning to the mistake, and at one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.matching import Match
from tools.matching import find as located
from training.quotations import Pair, shortened

CODE = (
    "import os\n\n\ndef area(a, b):\n    if a < b:\n        return widht * b\n     return 2 * b + b\n"
    "    a + b\n    b\n    return a * a\n"
)


@pytest.mark.parametrize(
    ("line", "wanted", "short"),
    [
        ("    if a < b:", "    if a > b:", ("if a <", "if a >")),
        ("        return widht * b", "        return width * b", ("return widht", "return width")),
        ("    return a * a", "    return b * a", ("return a", "return b")),
        ("     return 2 * b + b", "     return 2 * b - b", ("return 2 * b +", "return 2 * b -")),
        ("    if a < b:", "    if not a < b:", ("if a", "if not a")),
        ("    if a < b:", "    if a < b", ("if a < b:", "if a < b")),
        ("def area(a, b):", "def area(b):", ("def area(a, b", "def area(b")),
        ("def area(a, b):", "def area(a, b)", ("def area(a, b):", "def area(a, b)")),
        ("    a + b", "    return a + b", ("a +", "return a +")),
        ("    b", "    return b", ("b", "return b")),  # the only line of its kind
        ("     return 2 * b + b", "    return 2 * b + b", ("     return 2", "    return 2")),  # a longer margin ends so
        ("    a + b", "     a + b", ("    a", "     a")),
        ("import os", "import re\nimport os", ("import os", "import re\nimport os")),
    ],
)
def test_a_quotation_begins_with_the_line_and_ends_behind_the_mistake_where_it_stands_once(
    line: str, wanted: str, short: Pair
) -> None:
    assert shortened((line, wanted), CODE) == short


@given(st.text("ab <>\n", min_size=1, max_size=30), st.text("ab <>\n", max_size=30), st.data())
def test_the_change_is_the_same(old: str, new: str, data: st.DataObject) -> None:
    text = data.draw(st.text("ab <>\n", max_size=20)) + old + data.draw(st.text("ab <>\n", max_size=20))
    if text.count(old) == 1 and old != new:
        find, replace = shortened((old, new), text)
        found = located(text, find, replace)
        assert isinstance(found, Match)
        assert text[: found.start] + found.replacement + text[found.end :] == text.replace(old, new)
