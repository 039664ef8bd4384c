"""The repository around a change: its files as the change leaves them, and where a word stands in them.

It reads only through the two functions that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Reader = Callable[[str], str | None]
Finder = Callable[[str], list[str]]


def read_nothing(_: str) -> str | None:
    """There is no such file."""
    return None


def find_nothing(_: str) -> list[str]:
    """The word is nowhere."""
    return []


@dataclass(frozen=True, slots=True)
class Repository:
    """``read`` gives a file's text, None where there is none; ``mentions`` the paths of files that hold a word.

    Without either, a change stands alone.
    """

    read: Reader = read_nothing
    mentions: Finder = find_nothing
