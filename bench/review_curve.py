"""Precision over recall as an SVG picture; it computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 400, 60, 20
_PLOT_WIDTH, _PLOT_HEIGHT = 440, 320
_COLOURS = ("#1f6feb", "#bf5700", "#2e8b57")
_TITLES = {"humaneval": "HumanEvalPack", "files": "mistakes in real files"}


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold of confidence: two shares, 0.0 to 1.0."""

    recall: float
    precision: float


def draw(curves: Mapping[str, Sequence[Point]]) -> str:
    """A picture with one line for each curve, and a dashed one at the precision without a filter."""
    parts = [_frame()]
    for number, (name, points) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{_x(point.recall):.1f},{_y(point.precision):.1f}" for point in points)
        level = _y(points[0].precision)
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<line x1="{_LEFT}" y1="{level:.1f}" x2="{_x(points[0].recall):.1f}" y2="{level:.1f}" stroke="{colour}" '
            'stroke-dasharray="4 4"/>',
            _text(_LEFT + _PLOT_WIDTH + 10, _TOP + 20 + 44 * number, _TITLES.get(name, name), colour),
            _text(_LEFT + _PLOT_WIDTH + 10, _TOP + 36 + 44 * number, "dashed: no filter", "#666666"),
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _frame() -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for step in range(0, 11, 2):
        share = step / 10
        lines += [
            f'<line x1="{_LEFT}" y1="{_y(share)}" x2="{_LEFT + _PLOT_WIDTH}" y2="{_y(share)}" stroke="#dddddd"/>',
            _text(_LEFT - 32, _y(share) + 4, f"{share:.1f}", "#333333"),
            _text(_x(share) - 8, _TOP + _PLOT_HEIGHT + 18, f"{share:.1f}", "#333333"),
        ]
    lines += [
        _text(_LEFT + 120, _TOP + _PLOT_HEIGHT + 42, "recall: mistakes found within 3 lines", "#333333"),
        f'<text x="16" y="{_TOP + 250}" fill="#333333" transform="rotate(-90 16 {_TOP + 250})">'
        "precision: findings that are right</text>",
    ]
    return "\n".join(lines)


def _text(x: float, y: float, words: str, colour: str) -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}">{words}</text>'


def _x(share: float) -> float:
    return _LEFT + share * _PLOT_WIDTH


def _y(share: float) -> float:
    return _TOP + (1 - share) * _PLOT_HEIGHT
