"""The list of completions above the prompt; which one is chosen is its own, what fits is given to it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from agent.clean import clean
from tui.completion import Candidate
from tui.palette import Palette
from tui.widgets.lines import TextLines

_MOST_LINES = 8


class CandidateList(TextLines):
    """At most eight lines of candidates, one of them chosen."""

    def __init__(self, palette: Palette, *, id: str | None = None) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._palette = palette
        self._candidates: Sequence[Candidate] = ()
        self._at = 0

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that Enter takes."""
        return self._candidates[self._at] if self._candidates else None

    def offer(self, candidates: Sequence[Candidate]) -> None:
        """Show these; none closes the list."""
        if list(candidates) != list(self._candidates):
            self._at = 0
        self._candidates = candidates
        self._draw()

    def move(self, step: int) -> None:
        """Choose the next or the one before."""
        if self._candidates:
            self._at = (self._at + step) % len(self._candidates)
            self._draw()

    def use_palette(self, palette: Palette) -> None:
        """Draw in other colours."""
        self._palette = palette
        self._draw()

    def _draw(self) -> None:
        top = max(0, min(self._at - _MOST_LINES // 2, len(self._candidates) - _MOST_LINES))
        shown = self._candidates[top : top + _MOST_LINES]
        width = max((cell_len(self._label(each)) for each in shown), default=0)
        palette = self._palette
        lines: list[Text] = []
        for at, each in enumerate(shown, top):
            label = self._label(each)
            chosen = at == self._at
            style = f"{palette.accent} bold" if chosen else palette.text
            padded = label + " " * (width - cell_len(label) + 2)
            lines.append(
                Text.assemble(
                    ("▸ " if chosen else "  ", palette.accent), (padded, style), (each.help, palette.faint), end=""
                )
            )
        if (hidden := len(self._candidates) - top - len(shown)) > 0:
            lines.append(Text(f"  {hidden} more", palette.faint, end=""))
        self.show(*lines)

    @staticmethod
    def _label(candidate: Candidate) -> str:
        return clean(candidate.label).replace("\n", " ") + (f" [{candidate.takes}]" if candidate.takes else "")
