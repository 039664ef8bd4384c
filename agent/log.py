"""The log of our own faults, in the state folder; people and the model are told in one sentence, the rest is here.

Nothing is written, and no file made, as long as nothing goes wrong.
"""

from __future__ import annotations

import logging
from io import TextIOWrapper
from pathlib import Path

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _LogFile(logging.FileHandler):
    """Makes its folder with the first record."""

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return super()._open()


def log_to(path: Path) -> None:
    """From now on warnings and worse of this process go to ``path``."""
    logging.basicConfig(format=_FORMAT, level=logging.WARNING, handlers=[_LogFile(path, encoding="utf-8", delay=True)])
