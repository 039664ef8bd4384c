"""Searching file contents: one query, two ways to answer it (ripgrep, and plain Python), the same bounded result.

Who may search what is decided by the caller.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.files import list_files, ripgrep_environment
from tools.globs import matcher
from tools.protected import is_secret
from tools.text import decode, is_binary
from tools.truncate import cut_line

MAX_MATCHES = 100
MAX_LINE = 250
MAX_CHARACTERS = 16_000
_TIMEOUT_S = 20.0
_MAX_FILE_BYTES = 5_000_000
_MAX_PYTHON_LINE = 2_000  # a backtracking expression on longer lines could take hours


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for: below ``root``, in ``path`` (relative; file or folder), in files that fit ``glob``."""

    root: Path
    pattern: str
    path: str
    glob: str
    literal: bool
    cancelled: Callable[[], bool]

    def literally(self) -> Query:
        """The same with the pattern as plain text."""
        return dataclasses.replace(self, literal=True)


@dataclass(frozen=True, slots=True)
class Found:
    """Lines as ``path:line:text``; ``cut`` when there were more; ``problem`` when the search could not be done."""

    lines: tuple[str, ...] = ()
    cut: bool = False
    problem: str = ""


def by_ripgrep(query: Query, program: str) -> Found:
    """Search with ripgrep, which is ended as soon as there is enough or the time is over."""
    try:
        process = subprocess.Popen(
            _ripgrep_command(query, program),
            cwd=query.root,
            env=ripgrep_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except (OSError, ValueError) as error:
        return Found(problem=f"rg could not be started: {error}")
    timer = threading.Timer(_TIMEOUT_S, process.kill)
    timer.start()
    try:
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            found = _collect(query, _ripgrep_matches(iter(process.stdout)))
            process.kill()
            complaint = process.stderr.read(2_000).decode("utf-8", "replace").strip()
    finally:
        timer.cancel()
    if not found.lines and process.returncode == 2 and complaint:
        return Found(problem=" ".join(complaint.split())[-300:])
    return found


def by_python(query: Query) -> Found:
    """Search with the re module; slower, and without multi-line matches."""
    try:
        expression = re.compile(re.escape(query.pattern) if query.literal else query.pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return Found(problem=str(error))
    return _collect(query, _python_matches(query, expression))


def _ripgrep_command(query: Query, program: str) -> list[str]:
    command = [program, "--no-config", "--hidden", "--no-require-git", "--glob", "!.git", "--glob", "!.agent"]
    command += ["--line-number", "--with-filename", "--no-heading", "--null", "--color", "never", "--sort", "path"]
    command += ["--max-columns", "2000", "--max-columns-preview", "--max-filesize", str(_MAX_FILE_BYTES), "--crlf"]
    command += ["--fixed-strings"] if query.literal else ["--engine", "auto"]
    command += ["--multiline"] if "\n" in query.pattern or r"\n" in query.pattern else []
    if query.glob and "/" not in query.glob and not query.glob.startswith("!"):
        # A type, not --glob: that would search ignored files too. The exact check follows in _collect.
        command += ["--type-add", f"wanted:{query.glob}", "--type", "wanted"]
    return [*command, "--regexp", query.pattern, "--", query.path]


def _ripgrep_matches(lines: Iterator[bytes]) -> Iterator[tuple[str, int, str]]:
    for line in lines:
        name, _, rest = line.partition(b"\0")
        number, _, text = rest.partition(b":")
        if number.isdigit():
            yield os.fsdecode(name).removeprefix("./"), int(number), text.decode("utf-8", "replace").rstrip("\r\n")


def _python_matches(query: Query, expression: re.Pattern[str]) -> Iterator[tuple[str, int, str]]:
    prefix = "" if query.path == "." else query.path + "/"
    target = query.root / query.path
    names = [query.path] if target.is_file() else list_files(query.root, program="")
    for name in names:
        if not name.startswith(prefix) and name != query.path:
            continue
        path = query.root / name
        try:
            if path.stat().st_size > _MAX_FILE_BYTES:
                continue
            content = path.read_bytes()
        except OSError:
            continue
        if is_binary(content):
            continue
        for number, line in enumerate(decode(content).text.split("\n"), 1):
            if expression.search(line[:_MAX_PYTHON_LINE]):
                yield name, number, line.removesuffix("\r")


def _collect(query: Query, matches: Iterator[tuple[str, int, str]]) -> Found:
    """The first matches that may be shown."""
    fits = matcher(query.glob) if query.glob else None
    deadline = time.monotonic() + _TIMEOUT_S
    lines: list[str] = []
    size = 0
    for name, number, text in matches:
        if query.cancelled() or time.monotonic() > deadline:
            return Found(tuple(lines), cut=True)
        if is_secret(name.split("/")) or (fits is not None and not fits(name)):
            continue
        if len(lines) == MAX_MATCHES or size > MAX_CHARACTERS:
            return Found(tuple(lines), cut=True)
        lines.append(f"{name}:{number}:{cut_line(text, MAX_LINE)}")
        size += len(lines[-1])
    return Found(tuple(lines))
