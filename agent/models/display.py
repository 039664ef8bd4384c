"""Shows the progress of a transfer on a terminal as one moving line, and elsewhere as a line now and then.

It measures nothing; ``agent.models.progress`` does.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO

from agent.models.disk import size_text
from agent.models.progress import Progress

PLAIN_SECONDS = 5.0  # between lines where nothing can be redrawn


class ProgressLine:
    """Callable with Progress values; call ``end`` before anything else is written to the stream."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._moving = stream.isatty()
        self._width = 0
        self._written = float("-inf")
        self._what = ""

    def __call__(self, progress: Progress) -> None:
        """Show one state."""
        if self._moving:
            self._redraw(progress_text(progress))
            return
        now = self._clock()
        last = progress.done >= progress.total
        if progress.what != self._what or last or now - self._written >= PLAIN_SECONDS:
            self._what, self._written = progress.what, now
            print(progress_text(progress), file=self._stream, flush=True)

    def end(self) -> None:
        """Leave the moving line as it is and go to the next."""
        if self._width:
            print(file=self._stream, flush=True)
            self._width = 0

    def _redraw(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)


def progress_text(progress: Progress) -> str:
    """``Qwen2.5-Coder 1.5B: 43 % of 1.1 GB, 54 MB/s, 12 s left``."""
    percent = 100 * progress.done // progress.total if progress.total else 100
    parts = [f"{progress.what}: {percent} % of {size_text(progress.total)}"]
    if progress.rate >= 1000:
        parts.append(f"{size_text(int(progress.rate))}/s")
    if progress.seconds_left is not None and progress.done < progress.total:
        parts.append(f"{duration_text(progress.seconds_left)} left")
    return ", ".join(parts)


def duration_text(seconds: float) -> str:
    """Seconds for people: ``12 s``, ``3 min 5 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
