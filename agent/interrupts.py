"""Ctrl-C while a run is going on: the first ends the run and keeps its work, the second ends the program.

What the program does then is the caller's matter.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol


class Cancellable(Protocol):
    """A session, a task: something that can be ended early."""

    def cancel(self) -> object:
        """End it soon."""
        ...


@contextmanager
def cancelling(work: Cancellable) -> Generator[None]:
    """Inside, SIGINT and SIGTERM cancel the work; a second signal acts as usual."""
    loop = asyncio.get_running_loop()

    def cancel(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        work.cancel()

    caught = (signal.SIGINT, signal.SIGTERM)
    for number in caught:
        loop.add_signal_handler(number, cancel, number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
