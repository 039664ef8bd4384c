"""Colours: four palettes, and the Textual themes that fit them.

It names roles only; which text has which role is decided where the text is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """A style (as rich reads it) for each role of text. An empty one is plain text."""

    name: str
    text: str
    muted: str
    faint: str
    accent: str
    user: str
    ok: str
    warn: str
    error: str
    code: str
    code_back: str
    added: str
    removed: str
    added_mark: str
    removed_mark: str
    keyword: str
    string: str
    comment: str
    number: str
    function: str
    kind: str
    heading: str
    meter: str
    meter_rest: str


_DARK = Palette(
    name="dark",
    text="#d6dae2",
    muted="#98a1b0",
    faint="#6c7584",
    accent="#8ab4f8",
    user="bold #e8eaf0",
    ok="#81c995",
    warn="#f2cc60",
    error="#f28b82",
    code="#e3c78a",
    code_back="on #1c2027",
    added="on #17301f",
    removed="on #3b1d21",
    added_mark="#81c995",
    removed_mark="#f28b82",
    keyword="#c792ea",
    string="#a5d6a7",
    comment="italic #7f8896",
    number="#f5a97f",
    function="#82aaff",
    kind="#7fd1c7",
    heading="bold #8ab4f8",
    meter="#8ab4f8",
    meter_rest="#3a414d",
)
_LIGHT = Palette(
    name="light",
    text="#24292f",
    muted="#57606a",
    faint="#6e7781",
    accent="#0b57d0",
    user="bold #1b1f24",
    ok="#116329",
    warn="#7d4e00",
    error="#b3261e",
    code="#953800",
    code_back="on #f0f1f3",
    added="on #d7f5dd",
    removed="on #ffe3e0",
    added_mark="#116329",
    removed_mark="#b3261e",
    keyword="#8250df",
    string="#0a5132",
    comment="italic #6e7781",
    number="#953800",
    function="#0550ae",
    kind="#0f6a62",
    heading="bold #0b57d0",
    meter="#0b57d0",
    meter_rest="#c9ced6",
)
_CONTRAST = Palette(
    name="contrast",
    text="#ffffff",
    muted="#e0e0e0",
    faint="#c8c8c8",
    accent="bold #5ce1ff",
    user="bold #ffffff",
    ok="bold #5dff8f",
    warn="bold #ffe94a",
    error="bold #ff8a80",
    code="#ffe94a",
    code_back="on #141414",
    added="on #003d14",
    removed="on #5a0008",
    added_mark="bold #5dff8f",
    removed_mark="bold #ff8a80",
    keyword="bold #e7a6ff",
    string="#9dffb8",
    comment="italic #d0d0d0",
    number="#ffc48a",
    function="#8fd0ff",
    kind="#7ffff0",
    heading="bold underline #ffffff",
    meter="#5ce1ff",
    meter_rest="#707070",
)
# Without colour: weight, slant and signs carry what colour says elsewhere.
_PLAIN = Palette(
    name="plain",
    text="",
    muted="",
    faint="dim",
    accent="bold",
    user="bold",
    ok="bold",
    warn="bold",
    error="bold",
    code="italic",
    code_back="",
    added="",
    removed="",
    added_mark="bold",
    removed_mark="bold",
    keyword="bold",
    string="",
    comment="dim italic",
    number="",
    function="",
    kind="",
    heading="bold underline",
    meter="bold",
    meter_rest="dim",
)

PALETTES: Mapping[str, Palette] = {each.name: each for each in (_DARK, _LIGHT, _CONTRAST, _PLAIN)}
TITLES: Mapping[str, str] = {
    "dark": "dark",
    "light": "light",
    "contrast": "high contrast",
    "plain": "the terminal's own colours",
}


def themes() -> tuple[Theme, ...]:
    """The Textual themes, named like the palettes."""
    return (
        _theme(_DARK, back="#14161b", surface="#1a1d24", panel="#20242c", border="#363d49"),
        _theme(_LIGHT, back="#fcfcfb", surface="#f3f4f5", panel="#e9ebee", border="#c3c9d1"),
        _theme(_CONTRAST, back="#000000", surface="#000000", panel="#141414", border="#ffffff"),
        _plain_theme(),
    )


def _theme(palette: Palette, *, back: str, surface: str, panel: str, border: str) -> Theme:
    accent, text = _colour(palette.accent), _colour(palette.text)
    return Theme(
        name=palette.name,
        primary=accent,
        secondary=_colour(palette.muted),
        accent=accent,
        warning=_colour(palette.warn),
        error=_colour(palette.error),
        success=_colour(palette.ok),
        foreground=text,
        background=back,
        surface=surface,
        panel=panel,
        dark=palette is not _LIGHT,
        variables={
            "border": border,
            "faint": _colour(palette.faint),
            "chosen": border if palette is not _CONTRAST else "#444444",
            "block-cursor-background": accent,
            "block-cursor-foreground": back,
            "block-cursor-text-style": "none",
            "input-selection-background": f"{accent} 35%",
            "scrollbar": border,
            "scrollbar-background": back,
            "scrollbar-corner-color": back,
            "scrollbar-hover": _colour(palette.muted),
            "scrollbar-active": accent,
        },
    )


def _plain_theme() -> Theme:
    return Theme(
        name="plain",
        ansi=True,
        primary="ansi_default",
        secondary="ansi_default",
        accent="ansi_default",
        warning="ansi_default",
        error="ansi_default",
        success="ansi_default",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        variables={
            "border": "ansi_default",
            "faint": "ansi_default",
            "ansi-background": "ansi_default",
            "chosen": "ansi_default",
            "block-cursor-background": "ansi_default",
            "block-cursor-foreground": "ansi_default",
            "block-cursor-text-style": "reverse",
            "input-cursor-background": "ansi_default",
            "input-cursor-foreground": "ansi_default",
            "input-cursor-text-style": "reverse",
            "input-selection-background": "ansi_default",
            "scrollbar": "ansi_default",
            "scrollbar-background": "ansi_default",
            "scrollbar-corner-color": "ansi_default",
            "scrollbar-hover": "ansi_default",
            "scrollbar-active": "ansi_default",
        },
    )


def _colour(style: str) -> str:
    return next(word for word in style.split() if word.startswith("#"))
