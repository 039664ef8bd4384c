"""Searches files with Python's own regular expressions; a script of its own, so that it can be killed.

An expression can take hours on one line and nothing in a process can stop it. It imports nothing of ours.
Input (JSON): pattern, files, max_bytes. Output as ripgrep's: path, NUL, line number, colon, text. Exit code 2 and a
complaint for a pattern that is no regular expression.
"""

from __future__ import annotations

import json
import re
import sys


def main() -> int:
    """Answer the query on standard input; returns the exit code."""
    query = json.load(sys.stdin)
    try:
        expression = re.compile(query["pattern"])
    except (re.error, OverflowError, RecursionError) as error:
        sys.stderr.write(str(error))
        return 2
    for name in query["files"]:
        for number, line in enumerate(_lines(name, query["max_bytes"]), 1):
            if expression.search(line):
                sys.stdout.buffer.write(f"{name}\0{number}:{line}\n".encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    return 0


def _lines(name: str, max_bytes: int) -> list[str]:
    """The lines of a text file; none of a binary or too large one, or of one that cannot be read."""
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - pathlib would cost its import
            content = file.read(max_bytes + 1)
    except OSError:
        return []
    if len(content) > max_bytes:
        return []
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    elif b"\0" in content[:8192]:
        return []
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


if __name__ == "__main__":
    sys.exit(main())
