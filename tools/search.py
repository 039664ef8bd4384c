"""Searching file contents: one query, two ways to answer it (ripgrep, and plain Python), the same bounded result.

Who may search what is decided by the caller.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.files import list_files, ripgrep_environment
from tools.globs import matcher
from tools.protected import is_secret
from tools.truncate import cut_line

MAX_MATCHES = 100
MAX_LINE = 250
MAX_CHARACTERS = 16_000
TIMEOUT_S = 20.0
_WATCH_EVERY_S = 0.05
_MAX_FILE_BYTES = 5_000_000
_WORKER = Path(__file__).with_name("grep_worker.py")


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
    """Lines as ``path:line:text``. ``cut``: there may be more. ``late``: the time was over before the search was done.
    ``problem``: what the searching program has against the query.
    """

    lines: tuple[str, ...] = ()
    cut: bool = False
    late: bool = False
    problem: str = ""


def by_ripgrep(query: Query, program: str) -> Found:
    """Search with ripgrep."""
    return _search(query, _ripgrep_command(query, program))


def by_python(query: Query) -> Found:
    """Search with Python's re in a process of its own; slower, and without multi-line matches."""
    pattern = re.escape(query.pattern) if query.literal else query.pattern
    asked = {"pattern": pattern, "files": _files(query), "max_bytes": _MAX_FILE_BYTES}
    return _search(query, [sys.executable, "-I", "-S", str(_WORKER)], json.dumps(asked).encode())


def _search(query: Query, command: list[str], asked: bytes = b"") -> Found:
    """Run a searching program, which is ended as soon as there is enough, the time is over or the user cancels."""
    try:
        process = subprocess.Popen(
            command,
            cwd=query.root,
            env=ripgrep_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except (OSError, ValueError) as error:
        return Found(problem=f"it could not be started: {error}")
    threading.Thread(target=_watch, args=(process, query.cancelled), daemon=True).start()
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(asked)
        found = _collect(query, _matches(iter(process.stdout)))
        if found.cut:
            process.kill()
        complaint = process.stderr.read(2_000).decode("utf-8", "replace").strip()
    if process.returncode == -signal.SIGKILL and not found.cut:
        return Found(found.lines, cut=True, late=True)
    if not found.lines and process.returncode == 2 and complaint:
        return Found(problem=" ".join(complaint.split())[-300:])
    return found


def _watch(process: subprocess.Popen[bytes], cancelled: Callable[[], bool]) -> None:
    """End a search that nobody waits for any more, or for too long."""
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None:
        if cancelled() or time.monotonic() > deadline:
            process.kill()
        time.sleep(_WATCH_EVERY_S)


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


def _matches(lines: Iterator[bytes]) -> Iterator[tuple[str, int, str]]:
    for line in lines:
        name, _, rest = line.partition(b"\0")
        number, _, text = rest.partition(b":")
        if number.isdigit():
            yield os.fsdecode(name).removeprefix("./"), int(number), text.decode("utf-8", "replace").rstrip("\r\n")


def _files(query: Query) -> list[str]:
    """The files to search, without ripgrep's help."""
    if (query.root / query.path).is_file():
        return [query.path]
    prefix = "" if query.path == "." else query.path + "/"
    return [name for name in list_files(query.root, program="") if name.startswith(prefix)]


def _collect(query: Query, matches: Iterator[tuple[str, int, str]]) -> Found:
    """The first matches that may be shown."""
    fits = matcher(query.glob) if query.glob else None
    lines: list[str] = []
    size = 0
    for name, number, text in matches:
        if is_secret(name.split("/")) or (fits is not None and not fits(name)):
            continue
        if len(lines) == MAX_MATCHES or size > MAX_CHARACTERS:
            return Found(tuple(lines), cut=True)
        lines.append(f"{name}:{number}:{cut_line(text, MAX_LINE)}")
        size += len(lines[-1])
    return Found(tuple(lines))
