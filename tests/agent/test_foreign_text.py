"""Nothing foreign steers the terminal of the plain command line."""

from __future__ import annotations

import random

from tests.fakes.foreign_text import foreign, foreign_sequences, shown_under_a_pty


def test_no_foreign_control_sequence_reaches_a_terminal() -> None:
    draw = random.Random(7)
    output = shown_under_a_pty([foreign(draw) for _ in range(60)])
    assert len(output) > 10_000
    assert foreign_sequences(output) == []


def test_the_check_itself_finds_what_it_looks_for() -> None:
    for text in ("\x1b]52;c;YQ==\x07", "\x1b[7777m", "\x1b[2J", "\x9b1m", "\u202e", "\x07", "\x1bc"):
        assert foreign_sequences(f"fine \x1b[31mred\x1b[0m {text}".encode()) != []
    assert foreign_sequences(b"\x1b[1;31mred\x1b[0m\r\n\x1b[2K\x1b[1A\x1b[?25l") == []
