"""Python text as a syntax tree of ``ast``, or what Python's parser finds wrong with it; nothing is warned about."""

from __future__ import annotations

import ast
import warnings


def parse_python(text: str) -> ast.Module | SyntaxError | None:
    """The tree, or the syntax error; None where the parser cannot go on: a null character, nesting too deep for it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        return error
    except (ValueError, MemoryError, RecursionError):
        return None


def python_tree(text: str) -> ast.Module | None:
    """The tree; None where there is none."""
    found = parse_python(text)
    return found if isinstance(found, ast.Module) else None


def syntax_error(text: str) -> SyntaxError | None:
    """What is wrong with the syntax; None where that is nothing, or no parser can read the text."""
    found = parse_python(text)
    return found if isinstance(found, SyntaxError) else None
