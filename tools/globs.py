"""Glob patterns on relative POSIX paths: ``*``, ``?``, ``[a-z]``, ``**`` and ``{a,b}``; pure.

A pattern without a slash fits the last component anywhere, as in ignore files.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tools.errors import ToolError

_MAX_PATTERN = 500


def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether a path fits; raises ToolError for a pattern that cannot be understood."""
    cleaned = pattern.strip().removeprefix("./").lstrip("/")
    if not cleaned or len(cleaned) > _MAX_PATTERN or cleaned.count("*") > 20 or cleaned.count("{") > 10:
        raise ToolError("The glob pattern is empty or too long; write one such as **/*.py.")
    if cleaned.endswith("/"):
        cleaned += "**"
    anywhere = "/" not in cleaned
    try:
        expression = re.compile(_expression(cleaned) + r"\Z", re.DOTALL)
    except (re.error, OverflowError) as error:
        raise ToolError(f"The glob pattern {pattern!a} is not valid ({error}); write one such as **/*.py.") from error
    if anywhere:
        return lambda path: expression.match(path.rsplit("/", 1)[-1]) is not None
    return lambda path: expression.match(path) is not None


def _expression(pattern: str) -> str:
    """The pattern as a regular expression."""
    parts: list[str] = []
    at = depth = 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            parts.append("(?:[^/]+/)*")
            at += 3
            continue
        if char == "*":
            run = len(pattern) - at - len(pattern[at:].lstrip("*"))
            parts.append(".*" if run > 1 else "[^/]*")
            at += run
            continue
        if char == "[":
            closing = pattern.find("]", at + 2)
            if closing > 0:
                inner = pattern[at + 1 : closing].replace("\\", r"\\").replace("[", r"\[").replace("&", r"\&")
                parts.append("[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]")
                at = closing + 1
                continue
        if char == "{" and "}" in pattern[at:]:
            depth += 1
            parts.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            parts.append(")")
        elif char == "," and depth:
            parts.append("|")
        else:
            parts.append("[^/]" if char == "?" else re.escape(char))
        at += 1
    return "".join(parts) + ")" * depth
