"""Python text as a tree, or what is wrong with it."""

from __future__ import annotations

import warnings

import pytest

from tools.python_tree import python_tree, syntax_error


@pytest.mark.parametrize("text", ["x = 1\0", "(" * 10_000, "-" * 100_000 + "1", "def f(:"])
def test_what_is_no_python_has_no_tree(text: str) -> None:
    assert python_tree(text) is None


def test_the_parser_s_words_and_place_are_told_of_a_syntax_error_alone() -> None:
    error = syntax_error("x = 1\nif x\n    y = 2\n")
    assert error is not None
    assert (error.lineno, error.msg) == (2, "expected ':'")
    assert syntax_error("x = 1\n") is None


def test_nothing_is_warned_about() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert python_tree('x = "\\d" is "\\d"\n') is not None
