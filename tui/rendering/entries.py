"""Entries of a ViewState as lines, for one width and palette; what is folded shows that there is more.

It knows no widget: the transcript asks for lines and shows them.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from tui.palette import Palette
from tui.rendering.diffs import DiffRenderer
from tui.rendering.highlight import TAB
from tui.rendering.lines import Canvas, Line, filled, prefixed
from tui.rendering.markdown import MarkdownRenderer
from tui.rendering.words import seconds_text, tokens_text
from tui.view_state import Answer, CallState, Ended, Entry, Note, Prompted, TestRun, Thought, ToolCard

_LIVE_LINES = 6  # of a running command
_FAILED_LINES = 6
_BASH_LINES = 5
_DIFF_LINES = 40  # of a folded card
_EXPANDED_LINES = 400
_MARGIN = 2

_MARKS = {
    CallState.WRITING: ("◌", "muted"),
    CallState.WAITING: ("?", "warn"),
    CallState.RUNNING: ("●", "accent"),
    CallState.DONE: ("✔", "ok"),
    CallState.FAILED: ("✘", "error"),
    CallState.DENIED: ("✘", "warn"),
    CallState.STOPPED: ("■", "muted"),
}


@dataclass(frozen=True, slots=True)
class Look:
    """How an entry is to be shown; ``now`` is on the fold's clock."""

    expanded: bool = False
    now: float = 0.0


class EntryRenderer:
    """Renders entries in one width and palette; remembers where growing answers stand."""

    def __init__(self, width: int, palette: Palette) -> None:
        self.width = max(10, width)
        self.palette = palette
        inner = self.width - _MARGIN
        self._inner = Canvas(inner)
        self._markdown = MarkdownRenderer(inner, palette, " " * _MARGIN)
        self._diffs = DiffRenderer(inner - 2, palette)

    def lines(self, entry: Entry, look: Look) -> list[Line]:
        """All lines of an entry, with the blank line that sets it off from the one before."""
        match entry:
            case Prompted():
                body = self._prompted(entry)
            case Answer():
                body = self._answer(entry)
            case Thought():
                body = self._thought(entry, look)
            case ToolCard():
                body = self._card(entry, look)
            case TestRun():
                body = self._tests(entry, look)
            case Note():
                body = self._note(entry)
            case Ended():
                body = self._ended(entry)
        return [[], *body] if body else []

    def _prompted(self, entry: Prompted) -> list[Line]:
        back = Style.parse(self.palette.code_back)
        text = Text(entry.text.expandtabs(TAB), self.palette.user)
        lines = prefixed(self._inner.wrapped(text), Segment("❯ ", self._style("accent")))
        if entry.steered:
            lines.append([Segment("  said while it was working", self._style("faint"))])
        return [filled(line, self.width, back) for line in lines]

    def _answer(self, entry: Answer) -> list[Line]:
        if entry.done:
            self._markdown.forget(entry.key)
            return self._markdown.lines(entry.text)
        return self._markdown.growing(entry.key, entry.text)

    def _thought(self, entry: Thought, look: Look) -> list[Line]:
        seconds = entry.seconds if entry.done else max(0.0, look.now - entry.began)
        took = f" for {seconds_text(seconds)}" if seconds >= 0.1 else ""
        head = f"✻ {'thought' if entry.done else 'thinking'}{took}"
        body = entry.text.strip()
        if not look.expanded and entry.done:
            return [[Segment(head, self._style("faint")), self._more(f"{len(body.split()):,} words")]]
        text = body if look.expanded else "\n".join(body.splitlines()[-2:])
        lines = self._inner.wrapped(Text(text, f"italic {self.palette.muted}"))
        shown = lines if look.expanded else lines[-2:]
        return [[Segment(head, self._style("faint"))], *prefixed(shown, Segment("│ ", self._style("faint")))]

    def _card(self, card: ToolCard, look: Look) -> list[Line]:
        mark, role = _MARKS[card.state]
        title = card.summary or (f"{card.name} …" if card.state is CallState.WRITING else card.name)
        if card.name == "bash" and card.summary:
            title = f"$ {title}"
        added, removed = sum(each.added for each in card.diffs), sum(each.removed for each in card.diffs)
        changed = f"  +{added} -{removed}" if card.diffs else ""
        right = self._timing(card, look)
        room = self.width - 2 - len(changed) - len(right) - 1
        shown = Text(" ".join(title.split()))
        shown.truncate(max(8, room), overflow="ellipsis")
        head: Line = [Segment(f"{mark} ", self._style(role)), Segment(shown.plain, Style(bold=True))]
        head.append(Segment(changed, self._style("muted")))
        gap = self.width - sum(each.cell_length for each in head) - len(right)
        head.append(Segment(" " * max(1, gap) + right, self._style("faint")))
        return [head, *self._card_body(card, look)]

    def _timing(self, card: ToolCard, look: Look) -> str:
        match card.state:
            case CallState.RUNNING:
                return f"running {seconds_text(max(0.0, look.now - card.began))}"
            case CallState.WAITING:
                return "waits for you"
            case CallState.DENIED:
                return "refused"
            case CallState.STOPPED:
                return "" if card.result else "not finished"
            case _:
                return seconds_text(card.seconds) if card.seconds else ""

    def _card_body(self, card: ToolCard, look: Look) -> list[Line]:
        if card.state is CallState.WRITING:
            return self._tail(card.raw, 2, "faint") if look.expanded else []
        if card.state in (CallState.RUNNING, CallState.WAITING):
            return self._tail(card.output, _LIVE_LINES, "muted")
        if card.state is CallState.DENIED:
            return self._tail(card.note or card.result, 2, "muted")
        lines: list[Line] = []
        for diff in card.diffs:
            lines += self._cut(
                self._diffs.lines(diff.path, diff.diff), _EXPANDED_LINES if look.expanded else _DIFF_LINES
            )
        if lines and not look.expanded:
            return prefixed(lines, Segment("  "))
        return prefixed(lines, Segment("  ")) + self._result(card, look)

    def _result(self, card: ToolCard, look: Look) -> list[Line]:
        text = (card.result or card.output).strip("\n")
        if not text:
            return []
        if look.expanded:
            return self._head(text, _EXPANDED_LINES, "error" if card.state is CallState.FAILED else "muted")
        if card.state is CallState.FAILED:
            return self._tail(text, _FAILED_LINES, "error")
        if card.name == "bash":
            return self._tail(text, _BASH_LINES, "muted")
        count = text.count("\n") + 1
        said = text if count == 1 and len(text) < self.width - 6 else f"{count:,} lines"
        return [[Segment("  └ ", self._style("faint")), Segment(said.expandtabs(TAB), self._style("muted"))]]

    def _tail(self, text: str, count: int, role: str) -> list[Line]:
        """The last lines, each on one line of the screen."""
        every = [line for line in text.strip("\n").split("\n") if line.strip()]
        hidden = len(every) - count
        lines = [self._one_line(line, role) for line in every[-count:]]
        if hidden > 0:
            lines.insert(0, [Segment("  │ ", self._style("faint")), self._more(f"{hidden:,} more lines", "")])
        return lines

    def _head(self, text: str, count: int, role: str) -> list[Line]:
        lines = self._inner.wrapped(Text(text.expandtabs(TAB), self._role(role)), self._inner.width - 2)
        return prefixed(self._cut(lines, count), Segment("  │ ", self._style("faint")))

    def _one_line(self, text: str, role: str) -> Line:
        shown = Text(text.expandtabs(TAB))
        shown.truncate(self.width - 4, overflow="ellipsis")
        return [Segment("  │ ", self._style("faint")), Segment(shown.plain, self._style(role))]

    def _cut(self, lines: list[Line], count: int) -> list[Line]:
        if len(lines) <= count + 1:
            return lines
        return [*lines[:count], [self._more(f"… {len(lines) - count:,} more lines", "")]]

    def _more(self, what: str, before: str = " · ") -> Segment:
        return Segment(f"{before}{what}", self._style("faint"))

    def _tests(self, run: TestRun, look: Look) -> list[Line]:
        mark, role = {None: ("●", "accent"), True: ("✔", "ok"), False: ("✘", "error")}[run.green]
        took = f" in {seconds_text(run.seconds)}" if run.seconds else ""
        lines = self._inner.wrapped(Text.assemble((f"tests: {run.said or run.command}", "bold"), (took, "")))
        lines = prefixed(lines, Segment(f"{mark} ", self._style(role)))
        known = sorted(run.summary.split(", ")) == sorted(run.said.split(", "))  # nothing but the same counts
        shown = "" if known else run.summary
        return lines + (self._tail(shown, 40 if look.expanded else _FAILED_LINES, "muted") if shown else [])

    def _note(self, note: Note) -> list[Line]:
        mark, sign, role = ("! ", "error", "error") if note.is_error else ("• ", "accent", "text")
        if note.quiet:
            mark, sign, role = "· ", "faint", "faint"
        return prefixed(self._inner.wrapped(Text(note.text, self._role(role))), Segment(mark, self._style(sign)))

    def _ended(self, end: Ended) -> list[Line]:
        usage = end.usage
        parts = [end.how] if end.how else []
        parts.append(seconds_text(end.seconds))
        if usage.prefilled_tokens or usage.cached_tokens:
            parts.append(f"{tokens_text(usage.prefilled_tokens)} read, {tokens_text(usage.cached_tokens)} cached")
        if usage.decoded_tokens:
            parts.append(f"{tokens_text(usage.decoded_tokens)} written at {usage.decode_tps:.0f} tokens/s")
        if usage.drafted_tokens:
            parts.append(f"{100 * usage.accepted_tokens // usage.drafted_tokens} % of drafts accepted")
        role = "warn" if end.how else "faint"
        return prefixed(self._inner.wrapped(Text(" · ".join(parts), self._role(role))), Segment("  "))

    def _role(self, role: str) -> str:
        return str(getattr(self.palette, role))

    def _style(self, role: str) -> Style:
        return Style.parse(self._role(role))
