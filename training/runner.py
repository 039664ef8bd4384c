"""A process that runs foreign functions and tests in children of its own, one request a line; it judges nothing.

Forking from here costs milliseconds where a new interpreter with pytest costs half a second. Each child has little
time and memory, writes no file, and is gone afterwards.

    {"run": "calls", "text": ..., "calls": [...]}    -> {"results": [text or null, ...]}
    {"run": "pytest", "folder": ...}                 -> {"code": 1, "output": ...}
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).resolve().parents[1]
_CHILD_SECONDS = 6
_CALLS_SECONDS = 1  # of computing; all calls of a function that is worth it take milliseconds
_WAITING_SECONDS = 2  # calls may not wait for long, be it asleep or for something that never comes
_MEMORY = 2_000_000_000
_LARGEST_FILE = 10_000_000  # pytest catches what is printed in a file
_LARGEST_ANSWER = 1_000_000
_MOST_FILES = 256  # that are open when a child begins
# Parts of pytest that change nothing of what is printed; asking each of them is half of a short run.
_NEEDLESS = (
    "cacheprovider", "doctest", "junitxml", "pastebin", "faulthandler", "stepwise", "logging", "recwarn", "monkeypatch",
    "tmpdir", "setuponly", "setupplan", "debugging", "unittest", "legacypath", "subtests", "threadexception",
    "unraisableexception", "freeze_support",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tested:
    """What ``python -m pytest -q`` said in a folder."""

    code: int
    output: str


class Runner:
    """The other end: starts the process, asks it, ends it; a context manager."""

    def __init__(self) -> None:
        # Some modules make files where they are, if empty ones only.
        self._folder = tempfile.TemporaryDirectory(prefix="runner-")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "COLUMNS": "80",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "training.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=self._folder.name,
            text=True,
        )

    def calls(self, text: str, name: str, calls: list[str]) -> list[str | None]:
        """The results of calls in the module of this text, as source text; None where there is none to compare with.

        All are None where the module cannot be loaded; there are no results at all where it takes long.
        """
        answer = self._ask({"run": "calls", "text": text, "name": name, "calls": calls})
        return [] if answer.get("killed") else answer.get("results") or [None] * len(calls)

    def pytest(self, folder: Path) -> Tested:
        """Run the tests in a folder, its top being where Python finds modules."""
        answer = self._ask({"run": "pytest", "folder": str(folder)})
        return Tested(answer.get("code", 1), answer.get("output", ""))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def call_all(text: str, name: str, calls: list[str]) -> list[str | None]:
    """The work of a child: load the module, make each call twice, and keep results that are literals and stay the
    same."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, f"{name}.py", "exec"), module.__dict__)
    return [_result(module.__dict__, call) for call in calls]


def _result(names: dict[str, Any], call: str) -> str | None:
    try:
        first, second = eval(call, names), eval(call, names)
        written = repr(first)
        if len(written) >= 80 or str(Path.cwd()) in written:  # a test must be able to compare with it elsewhere
            return None
        if written == repr(second) and eval(written, {}) == first:
            return written
    except Exception:  # noqa: BLE001 - the code is foreign, and broken on purpose
        return None
    return None


def _pytest(folder: str) -> int:
    import pytest

    os.chdir(folder)
    sys.path.insert(0, folder)
    left_out = [option for name in _NEEDLESS for option in ("-p", f"no:{name}")]
    return int(pytest.main(["-q", *left_out]))


def _child(work: Callable[[], Any], output: int, *, told: bool) -> None:
    """Do the work with everything that is printed going to ``output`` when ``told``, else nowhere; never returns."""
    seconds = _CHILD_SECONDS if told else _CALLS_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    largest = _LARGEST_FILE if told else 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.alarm(_CHILD_SECONDS if told else _WAITING_SECONDS)
    nowhere = os.open(os.devnull, os.O_RDWR)
    printed = output if told else nowhere
    for number, to in enumerate((nowhere, printed, printed)):
        os.dup2(to, number)
    os.closerange(3, output)
    os.closerange(output + 1, _MOST_FILES)
    code = 70
    with contextlib.suppress(BaseException):
        answer = work()
        code = answer if told else 0
        if not told:
            os.write(output, json.dumps(answer).encode())
        sys.stdout.flush()
    os._exit(code)


def _in_child(work: Callable[[], Any], *, told: bool) -> tuple[int, bytes]:
    """The exit code, negative for a signal, and what came back: the answer, or with ``told`` what was printed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _child(work, writing, told=told)
    os.close(writing)
    got, until = b"", time.monotonic() + _CHILD_SECONDS + 1
    while (left := until - time.monotonic()) > 0 and len(got) < _LARGEST_ANSWER:
        if not select.select([reading], [], [], left)[0]:
            break
        piece = os.read(reading, 65_536)
        if not piece:
            break
        got += piece
    os.close(reading)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL) if time.monotonic() >= until else None
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), got


def _results(code: int, answered: bytes) -> dict[str, Any]:
    """What a child that made calls answered; some code ends its process in the middle of an answer."""
    if code or not answered:
        return {"killed": code < 0}
    try:
        return {"results": json.loads(answered)}
    except ValueError:
        return {"killed": True}


def _load_pytest() -> None:
    """Load once, for all children, what a run of pytest loads."""
    from _pytest.config import get_config

    get_config()
    for name in ("difflib", "pprint", "unittest", "reprlib", "decimal", "fractions", "dataclasses", "html", "textwrap"):
        importlib.import_module(name)
    gc.freeze()  # what is here stays: children need not look through it, which would copy its pages


def serve() -> None:
    """Answer requests until there are no more."""
    _load_pytest()
    asking, answering = sys.stdin, os.fdopen(os.dup(1), "w")
    for line in asking:
        request = json.loads(line)
        if request["run"] == "pytest":
            code, printed = _in_child(lambda folder=request["folder"]: _pytest(folder), told=True)
            answer: dict[str, Any] = {"code": code, "output": printed.decode("utf-8", "replace")}
        else:
            given = request["text"], request["name"], request["calls"]
            code, printed = _in_child(lambda given=given: call_all(*given), told=False)
            answer = _results(code, printed)
        answering.write(json.dumps(answer) + "\n")
        answering.flush()


if __name__ == "__main__":
    serve()
