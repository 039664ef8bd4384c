"""A screen without a session: shows any state and any dialog, and gives its picture as SVG."""

from __future__ import annotations

import re
from pathlib import Path

from textual.app import App

import tui
from tui.palette import PALETTES, themes
from tui.screens.main import Facts, MainScreen
from tui.view_state import ViewState

_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


class Stage(App[None]):
    """The main screen in one theme."""

    CSS_PATH = Path(tui.__file__).parent / "app.tcss"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, theme: str, state: ViewState, facts: Facts) -> None:
        super().__init__()
        for each in themes():
            self.register_theme(each)
        self.theme = theme
        self.animation_level = "none"
        self.main = MainScreen(PALETTES[theme])
        self._state = state
        self._facts = facts

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"faint": "#808080", "border": "#808080", "chosen": "#808080"}

    def on_mount(self) -> None:
        self.push_screen(self.main)

    def draw(self) -> None:
        self.main.prompt.cursor_blink = False
        for screen in self.screen_stack:
            screen.set_class(self.size.height < 22, "short")
        self.main.show(self._state, self._facts)


def plain_svg(svg: str) -> str:
    """The picture without fonts from elsewhere."""
    return _FONTS.sub("", svg).replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas").replace("FiraCode", "mono")
