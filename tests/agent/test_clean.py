"""Foreign text on its way to a terminal."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clean import clean

NAUGHTY = Path(__file__).parents[2] / "../shared/data/blns.json"
SURVIVORS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;aGk=\x1b\\text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jtext", "text"),
        ("\x1bPq...\x1b\\text", "text"),
        ("\x1bctext", "text"),
        ("a\x1b", "a"),
        ("a\rb", "a\nb"),
        ("a\r\nb", "a\nb"),
        ("tab\there\n", "tab\there\n"),
        ("a\u202egnirts\u202c", "agnirts"),
        ("a\U000e0041b", "ab"),
        ("zero\u200bwidth", "zerowidth"),
        ("bell\x07 null\x00", "bell null"),
        ("\ud800lone", "lone"),
        ("äß€😀 ok", "äß€😀 ok"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_control_sequences_are_taken_out_and_text_stays(foreign: str, shown: str) -> None:
    assert clean(foreign) == shown


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x1b[]\\;\x9b\x07\x90P0mJ")), max_size=80))
def test_nothing_that_steers_a_terminal_survives(text: str) -> None:
    shown = clean(text)
    assert not SURVIVORS.search(shown)
    assert all(unicodedata.category(char) != "Cs" for char in shown)
    assert clean(shown) == shown


def test_no_character_that_python_calls_printable_is_one_that_is_taken_out() -> None:
    """Which is why text of nothing else needs no closer look."""
    printable = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    assert clean("\x07" + printable) == printable


@pytest.mark.skipif(not NAUGHTY.exists(), reason="needs ../shared/data/blns.json")
def test_naughty_strings_are_harmless() -> None:
    for text in json.loads(NAUGHTY.read_text()):
        assert not SURVIVORS.search(clean(text))
