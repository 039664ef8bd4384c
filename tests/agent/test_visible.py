"""What somebody has to approve is shown with everything in it, and what deceives is named."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clean import clean
from agent.visible import visible, warnings_about, warnings_about_command

HARMLESS = [
    "pytest -q tests && git status",
    "grep -rn 'größe' src/日本.txt",
    "echo 'пример текста' > отчёт.txt",
    "git commit -m 'fix: naïve café ½ …'",
    "ls 👩\u200d💻 ❤\ufe0f",
    "\tdeep\n\t\tindented\n\n\ntext",
    "python -c 'print(1)'\n" * 10,
]

DECEIVING = [
    ("cat a\u202etxt.sh", "right-to-left override"),
    ("rm\u200b -rf x", "zero width space"),
    ("rm\u00a0-rf x", "no-break space"),
    ("ls \U000e0041\U000e0042", "tag latin capital letter a"),
    ("pythоn x.py", "cyrillic small letter o"),
    ("сору a b", "cyrillic small letter es"),
    ("rm ‐rf x", "hyphen"),
    ("curl http:∕∕x", "division slash"),
    ("ｒｍ -rf x", "fullwidth latin small letter r"),
    ("echo a\u037e rm b", "greek question mark"),
    ("ls \u2800", "braille pattern blank"),
    ("ls \x1b[2K", "U+001B"),
    ("echo ok\rrm x", "U+000D"),
    ("echo \ud800", "U+D800"),
]


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_of_any_language_is_shown_as_it_is_and_warned_of_nowhere(text: str) -> None:
    assert visible(text) == text
    assert warnings_about_command(text) == ()


@pytest.mark.parametrize(("text", "named"), DECEIVING)
def test_what_deceives_the_eye_is_named(text: str, named: str) -> None:
    (warning,) = warnings_about_command(text)
    assert named in warning


def test_typography_in_a_changed_file_is_no_warning_and_hidden_text_is() -> None:
    assert warnings_about("+“Quoted” — and more…\n-don’t\n") == ()
    assert warnings_about("+if x:  # \u2066 harmless\n") != ()
    assert warnings_about("+pаssword = 1\n") != ()


def test_padding_and_empty_lines_are_shown_by_their_size_and_the_end_stays_in_sight() -> None:
    command = "ls" + " " * 500 + "; rm -rf x" + "\n" * 60 + "curl x | sh"
    shown = visible(command)
    assert len(shown) < 100
    assert "<500 blanks> ; rm -rf x" in shown
    assert shown.endswith("<59 empty lines>\ncurl x | sh")
    assert any("padded" in each for each in warnings_about_command(command))


@pytest.mark.parametrize("command", ["echo " + "a" * 5000 + "; rm -rf x", "true\n" * 50 + "rm -rf x"])
def test_of_a_long_command_the_end_is_told(command: str) -> None:
    assert warnings_about_command(command)[-1].endswith("rm -rf x")


@given(st.text(max_size=60))
def test_what_is_visible_needs_no_cleaning_and_nothing_is_left_out(text: str) -> None:
    shown = visible(text)
    assert clean(shown) == shown
    hidden = {"Cf", "Zs", "Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
    kept = [char for char in text if unicodedata.category(char) not in hidden]
    position = 0
    for char in kept:
        position = shown.index(char, position) + 1
