"""Bounded output keeps its head and tail; the todo list is handed on as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fakes.hands import Hands
from tools.terminal_text import plain
from tools.truncate import HeadTail, head_and_tail


@given(st.lists(st.binary(max_size=40), max_size=40), st.integers(1, 50), st.integers(1, 50))
def test_a_stream_is_kept_whole_or_with_both_ends(pieces: list[bytes], head: int, tail: int) -> None:
    collected = HeadTail(head, tail)
    for piece in pieces:
        collected.add(piece)
    whole = b"".join(pieces)
    text = collected.text()
    assert collected.total == len(whole)
    if len(whole) <= head + tail:
        assert text == whole.decode("utf-8", "replace")
    elif "omitted ..." in text:
        first, last = whole.decode("latin-1")[:1], whole.decode("latin-1")[-1:]
        if first.isascii() and first != "\n":
            assert text.startswith(first)
        if last.isascii() and last != "\n":
            assert text.endswith(last)
        assert len(text) <= head + tail + 60
    else:
        assert text == whole.decode("utf-8", "replace")


@given(st.text("ab\n", max_size=300), st.integers(30, 200))
def test_text_is_kept_whole_or_cut_with_a_note(text: str, limit: int) -> None:
    shown = head_and_tail(text, limit)
    assert shown == text if len(text) <= limit else "omitted ..." in shown
    assert len(shown) <= limit + 40


def test_the_note_counts_the_omitted_lines() -> None:
    collected = HeadTail(head=10, tail=10)
    for number in range(1, 101):
        collected.add(f"{number}\n".encode())
    assert collected.text() == "1\n2\n3\n4\n5\n... 93 lines omitted ...\n99\n100\n"


def test_equal_lines_in_a_row_are_counted() -> None:
    assert plain("a\n" + "b\n" * 10 + "c") == "a\nb\n... 9 more lines like this ...\nc"


@given(st.text())
def test_no_control_character_but_line_ends_and_tabs_is_left(text: str) -> None:
    assert not [char for char in plain(text + "\x1b[1m\x1b]0;t\x07") if ord(char) < 32 and char not in "\n\t\r"]


def test_the_todo_list_is_shown_and_handed_on(hands: Hands) -> None:
    output = hands.call(
        "todo", items=["first", {"content": "second", "status": "Done"}, {"text": "3", "status": "in progress"}]
    )
    assert output.text == "[ ] first\n[x] second\n[>] 3"
    assert output.todos == (("first", "pending"), ("second", "completed"), ("3", "in_progress"))
    assert hands.call("todo", items=[]).todos == ()


def test_an_unknown_status_is_refused(hands: Hands) -> None:
    with pytest.raises(ValidationError):
        hands.call("todo", items=[{"text": "a", "status": "perhaps"}])
