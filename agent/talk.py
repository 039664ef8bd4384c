"""How a model's fetching and loading speaks to the person at the terminal.

It fetches nothing; ``agent.assembly`` takes the Talk.
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from agent.assembly import Talk
from agent.clean import clean
from agent.live_view import LiveView
from agent.models.display import ProgressLine
from agent.models.progress import Progress


class _Line:
    """Download progress on a line of its own; the live view stands still while it moves."""

    def __init__(self, view: LiveView) -> None:
        self._view = view
        self._line: ProgressLine | None = None

    def __call__(self, progress: Progress) -> None:
        if self._line is None:
            self._view.pause()
            self._line = ProgressLine(sys.stderr)
        self._line(progress)
        if progress.done >= progress.total:
            self.end()

    def end(self) -> None:
        if self._line is not None:
            self._line.end()
            self._line = None
            self._view.resume()


def make_talk(console: Console, view: LiveView) -> Talk:
    """Sentences and questions on the console, progress beside the view; nobody is asked without a terminal."""
    line = _Line(view)

    def say(sentence: str) -> None:
        line.end()
        console.print(Text(clean(sentence)), soft_wrap=True)

    def ask(question: str) -> bool:
        line.end()
        view.pause()
        try:
            return console.input(f"{clean(question)} [Y/n] ", markup=False).strip().lower() in ("", "y", "yes")
        except EOFError:
            return False
        finally:
            view.resume()

    interactive = console.is_terminal and sys.stdin.isatty()
    return Talk(say=say, ask=ask if interactive else None, progress=line, on_load=view.loading)
