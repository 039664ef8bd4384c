"""What the user settled about the screen: theme and bell, in ``tui.json`` in the state folder.

A file that cannot be read or written changes nothing and is no error.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tui.palette import PALETTES


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)

    theme: str = "dark"
    bell: bool = True


class Preferences:
    """Read once, written when something changes."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._kept = _Kept()
        try:
            self._kept = _Kept() if path is None else _Kept.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return

    @property
    def theme(self) -> str:
        """The name of a palette."""
        return self._kept.theme if self._kept.theme in PALETTES else "dark"

    @property
    def bell(self) -> bool:
        """Whether waiting is worth a bell."""
        return self._kept.bell

    def keep_theme(self, name: str) -> None:
        """Begin with this theme from now on."""
        self._keep(self._kept.model_copy(update={"theme": name}))

    def keep_bell(self, bell: bool) -> None:
        """Ring, or do not."""
        self._keep(self._kept.model_copy(update={"bell": bell}))

    def _keep(self, kept: _Kept) -> None:
        self._kept = kept
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.write_text(kept.model_dump_json(), encoding="utf-8")
        except OSError:
            return
