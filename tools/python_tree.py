"""Python text as a syntax tree of ``ast``; nothing is warned about and nothing but None comes of what is no Python."""

from __future__ import annotations

import ast
import warnings


def python_tree(text: str) -> ast.Module | None:
    """The tree; None where there is none: broken syntax, a null character, nesting deeper than the parser can go."""
    try:
        return _parsed(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def syntax_error(text: str) -> SyntaxError | None:
    """What the parser finds wrong with the syntax; None where that is nothing, or no parser can read the text."""
    try:
        _parsed(text)
    except SyntaxError as error:
        return error
    except (ValueError, MemoryError, RecursionError):
        return None
    return None


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)
