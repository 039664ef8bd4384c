"""The words of the status line and of the line that tells what is going on; pure, for a given width.

What does not fit is left out, the least important first.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from tui.palette import Palette
from tui.rendering.words import bar, bytes_text, context_text, seconds_text, tokens_text
from tui.view_state import Phase, Status, ViewState

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SPINS_A_SECOND = 8
_SETTLED_PIECES = 4  # before these are written, a rate would jump about
_MODE_ROLES = {"default": "muted", "accept-edits": "ok", "plan": "accent", "yolo": "error"}
MODE_SIGNS = {"default": "ask first", "accept-edits": "accept edits", "plan": "plan only", "yolo": "yolo"}


@dataclass(frozen=True, slots=True)
class Loading:
    """What is being waited for before the session is open; ``share`` of it is done (None: unknown)."""

    text: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of the status line; parts of the greatest ``rank`` are left out first."""

    rank: int
    text: Text


def status_line(status: Status, memory: int, palette: Palette, width: int) -> Text:
    """Mode, model, context, speed, cache, drafts, memory; ``memory`` in bytes (0: unknown)."""
    left = [_Part(0, Text(MODE_SIGNS.get(status.mode, status.mode), getattr(palette, _MODE_ROLES[status.mode])))]
    if status.model:
        left.append(_Part(3, Text(status.model, palette.muted)))
    if status.context_tokens:
        left.append(_Part(1, _context(status, palette, wide=width >= 90)))
    right = [_Part(rank, Text(said, palette.muted)) for rank, said in _facts(status, memory, wide=width >= 130)]
    return _fitted(left, right, palette, width)


def activity_line(state: ViewState, loading: Loading | None, now: float, palette: Palette, width: int) -> Text:
    """What is going on now; empty when nothing is."""
    if loading is not None:
        return _loading(loading, now, palette, width)
    if not state.running:
        return Text()
    status = state.status
    spin = "?" if status.phase is Phase.ASKING else _spin(now)
    role = palette.warn if status.phase is Phase.ASKING else palette.accent
    line = Text.assemble((f"{spin} ", role), end="", no_wrap=True, overflow="ellipsis")
    line.append_text(_doing(state, now, palette, width))
    end = "esc interrupts"
    gap = width - cell_len(line.plain) - cell_len(end)
    if gap >= 2:
        line.append(" " * gap + end, palette.faint)
    return line


def welcome(status: Status, palette: Palette, width: int) -> list[Text]:
    """What stands above the prompt before anything was said."""
    folder = status.cwd or "."
    hints = [
        ("@", "names a file"),
        ("/", "commands"),
        ("!", "your own shell line"),
        ("Shift+Tab", "what may run unasked"),
        ("?", "help"),
    ]
    lines = [
        Text.assemble(("agent", palette.heading), (f"  in {folder}", palette.muted), end=""),
        Text("Ask for a change, or about the code. The model runs on this machine alone.", palette.text, end=""),
    ]
    line = Text(end="")
    for key, said in hints:
        piece = Text.assemble((key, palette.accent), (f" {said}", palette.faint))
        if line.plain and cell_len(line.plain) + cell_len(piece.plain) + 3 > width:
            lines.append(line)
            line = Text(end="")
        if line.plain:
            line.append("   ")
        line.append_text(piece)
    return [*lines, line, Text(end="")]


def tokens_a_second(status: Status) -> float:
    """The pace of what is being written now; 0 while it cannot be told."""
    took = status.latest - status.decode_since
    return (status.pieces - 1) / took if status.pieces > _SETTLED_PIECES and took > 0 else 0.0


def _spin(now: float) -> str:
    return _SPINNER[int(now * _SPINS_A_SECOND) % len(_SPINNER)]


def _loading(loading: Loading, now: float, palette: Palette, width: int) -> Text:
    line = Text.assemble((f"{_spin(now)} ", palette.accent), (loading.text, palette.text), end="", no_wrap=True)
    if loading.share is not None and width - cell_len(line.plain) >= 14:
        _append_bar(line, loading.share, 10, palette)
        line.append(f" {loading.share:.0%}", palette.muted)
    return line


def _doing(state: ViewState, now: float, palette: Palette, width: int) -> Text:
    status = state.status
    elapsed = seconds_text(max(0.0, now - status.run_since))
    match status.phase:
        case Phase.PREFILL if status.prefill is not None and status.prefill.done < status.prefill.total:
            return _reading(state, now, palette, width)
        case Phase.PREFILL | Phase.STARTING | Phase.IDLE:
            said = "thinking of an answer" if status.phase is Phase.PREFILL else "working"
            return Text(f"{said} · {elapsed}", palette.muted)
        case Phase.DECODE:
            pace = tokens_a_second(status)
            speed = f" · {pace:.0f} tokens/s" if pace else ""
            return Text(f"writing · {status.pieces:,} tokens{speed} · {elapsed}", palette.muted)
        case Phase.TOOL:
            return Text(f"running a tool · {elapsed}", palette.muted)
        case Phase.TESTS:
            return Text(f"running the tests · {elapsed}", palette.muted)
        case Phase.ASKING:
            return Text("waiting for your answer", palette.warn)


def _reading(state: ViewState, now: float, palette: Palette, width: int) -> Text:
    prefill = state.status.prefill
    assert prefill is not None
    left = max(0.0, prefill.seconds_left - (now - prefill.at))
    line = Text(f"reading {prefill.done:,} of {prefill.total:,} tokens", palette.muted)
    if width >= 74:
        # Chunks of the prompt take seconds each: between their ends the bar goes on as estimated.
        missing = (prefill.total - prefill.done) * left / prefill.seconds_left if prefill.seconds_left > 0 else 0
        _append_bar(line, (prefill.total - missing) / max(1, prefill.total), 12, palette)
    soon = (
        "any moment" if left < 0.5 else f"{max(1, round(left))} s left" if left < 60 else f"{seconds_text(left)} left"
    )
    line.append(f" · {soon}", palette.text)
    if prefill.cached and width >= 90:
        line.append(f" · {prefill.cached:,} cached", palette.muted)
    return line


def _append_bar(line: Text, share: float, width: int, palette: Palette) -> None:
    full, rest = bar(share, width)
    line.append(" ")
    line.append(full, palette.meter)
    line.append(rest, palette.meter_rest)


def _context(status: Status, palette: Palette, *, wide: bool) -> Text:
    share = status.context_used / status.context_tokens
    role = palette.error if share > 0.9 else (palette.warn if share > 0.75 else palette.muted)
    text = Text(f"{tokens_text(status.context_used)} of {context_text(status.context_tokens)}", role)
    if wide:
        _append_bar(text, share, 8, palette)
        left = max(0, status.context_tokens - status.context_used)
        text.append(f" {context_text(left // 1_024 * 1_024)} free", palette.faint)
    return text


def _facts(status: Status, memory: int, *, wide: bool) -> list[tuple[int, str]]:
    facts: list[tuple[int, str]] = []
    pace = tokens_a_second(status) if status.phase is Phase.DECODE else status.last.decode_tps
    if pace:
        facts.append((2, f"{pace:.0f} tok/s"))
    read = status.total.cached_tokens + status.total.prefilled_tokens
    if read:
        cached, new = tokens_text(status.total.cached_tokens), tokens_text(status.total.prefilled_tokens)
        share = f"{100 * status.total.cached_tokens // read} % cached"
        facts.append((4, f"{cached} cached / {new} read" if wide else share))
    if status.total.drafted_tokens:
        facts.append((5, f"{100 * status.total.accepted_tokens // status.total.drafted_tokens} % drafts"))
    if memory:
        facts.append((6, bytes_text(memory)))
    return facts


def _fitted(left: list[_Part], right: list[_Part], palette: Palette, width: int) -> Text:
    """Left parts, a gap, right parts; parts are left out until they fit."""
    while (needed := _needed(left, right)) > width and (found := max((*left, *right), key=lambda part: part.rank)).rank:
        left = [part for part in left if part is not found]
        right = [part for part in right if part is not found]
    line = _joined(left, palette)
    line.append(" " * max(1, width - needed + 2) if right else "")
    line.append_text(_joined(right, palette))
    return line


def _joined(parts: list[_Part], palette: Palette) -> Text:
    return Text(" · ", palette.faint, end="", no_wrap=True).join([part.text for part in parts])


def _needed(left: list[_Part], right: list[_Part]) -> int:
    sides = [side for side in (left, right) if side]
    cells = sum(cell_len(part.text.plain) for side in sides for part in side)
    return cells + sum(3 * (len(side) - 1) for side in sides) + 2 * (len(sides) - 1)
