"""The terminal under the window, and its end: what is written to it then is dropped, and the program is hung up.

What a hang-up ends, and how, is the application's matter.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.app import App

_GRACE_SECONDS = 10.0  # for the clean end; a model that reads a prompt hears of it within a few seconds


class LastingDriver(LinuxDriver):
    """Textual's driver, whose writing thread outlives the terminal: without it the application would wait for ever."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)  # pyright: ignore[reportUnknownMemberType] - of an App of any result
        assert self._file is not None  # it belongs to a terminal
        self._file = cast("TextIO", _Dropping(self._file))


class _Dropping:
    """A stream to a terminal; what the terminal does not take any more is lost."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.fileno = file.fileno

    def write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError:
            return

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            return


def hang_up_with_terminal() -> None:
    """From now on SIGHUP comes when the terminal is gone, also to a program that it does not control.

    Where the program still lives ten seconds later, it is ended with 129. A terminal that went while we were starting
    is no terminal any more, so that is not asked.
    """
    if sys.__stdin__ is not None:
        threading.Thread(target=_watch, args=(sys.__stdin__.fileno(),), name="terminal", daemon=True).start()


def _let_go(terminal: int) -> None:
    """What is left in buffers for the terminal goes nowhere: else the interpreter fails to write it when it ends, and
    makes the exit code 120."""
    gone, nowhere = os.fstat(terminal).st_rdev, os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        with suppress(OSError):  # closed from the start
            if os.fstat(number).st_rdev == gone:
                os.dup2(nowhere, number)
    os.close(nowhere)


def _watch(terminal: int) -> None:
    poll = select.poll()
    poll.register(terminal, 0)  # input is the driver's; a hang-up is reported unasked
    if all(not what & select.POLLHUP for _, what in poll.poll()):
        return
    _let_go(terminal)
    os.kill(os.getpid(), signal.SIGHUP)
    time.sleep(_GRACE_SECONDS)
    os._exit(128 + signal.SIGHUP)
