"""Unified diffs of file contents, for people and for reports.

Git's own diffs come from ``tools.git``.
"""

from __future__ import annotations

import difflib

from tools.text import decode, is_binary


def unified_diff(path: str, before: bytes | None, after: bytes | None, context_lines: int = 3) -> str:
    """The change of one file as git would print it; None is a file that does not exist."""
    old_name, new_name = (f"a/{path}" if before is not None else "/dev/null"), f"b/{path}"
    if after is None:
        new_name = "/dev/null"
    if is_binary(before or b"") or is_binary(after or b""):
        return f"Binary files {old_name} and {new_name} differ\n"
    lines = difflib.unified_diff(_lines(before), _lines(after), old_name, new_name, n=context_lines)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(content: bytes | None) -> list[str]:
    parts = decode(content or b"").text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
