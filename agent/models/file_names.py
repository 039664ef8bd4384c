"""Picks the file that is meant out of many by its name; names inside the hub's repositories changed over time.

Pure; the same rule is used for listings of the hub and for files in the cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

# Parts of split models and image projectors are never what is meant.
_NEVER = ("*mmproj*", "*-of-[0-9]*")


def pick_name(names: Iterable[str], patterns: tuple[str, ...], leave_out: tuple[str, ...] = ()) -> str | None:
    """The first of ``names`` (paths with /) whose last part matches the earliest pattern that matches any.

    Case does not count; only .gguf files do; what ``leave_out`` matches is not taken.
    """
    bases = {name: name.rsplit("/", 1)[-1].lower() for name in names}
    usable = [name for name, base in bases.items() if base.endswith(".gguf") and not _any(base, (*_NEVER, *leave_out))]
    for pattern in patterns:
        for name in usable:
            if _any(bases[name], (pattern,)):
                return name
    return None


def _any(base: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(base, pattern.lower()) for pattern in patterns)
