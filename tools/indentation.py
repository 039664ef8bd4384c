"""Fits replacement lines to the indentation of the file where the quoted lines had another one.

Pure functions on lists of lines without line ends; what matches what is decided in ``tools.matching``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence


def indent_of(line: str) -> str:
    """The white space that a line starts with."""
    return line[: len(line) - len(line.lstrip())]


def refit(old: Sequence[str], actual: Sequence[str], new: Sequence[str]) -> list[str]:
    """``new`` with its indentation changed as that of ``old`` (as quoted) differs from ``actual`` (as in the file).

    ``old`` and ``actual`` correspond line by line.
    """
    pairs = [(indent_of(a), indent_of(b)) for a, b in zip(old, actual, strict=True) if a.strip()]
    if not pairs or all(a == b for a, b in pairs):
        return list(new)
    first, rest = pairs[0], pairs[1:]
    if rest and first[0] == "" and first[1] and all(a == b for a, b in rest):
        # The quote began behind the first line's indentation and was right from there on.
        head = new[0] if new else ""
        return [first[1] + head if head.strip() and not indent_of(head) else head, *new[1:]]
    mapping: dict[str, str] = {}
    for quoted, real in pairs:
        mapping.setdefault(quoted, real)
    return [_mapped(line, mapping) for line in new]


def _mapped(line: str, mapping: dict[str, str]) -> str:
    text = line.lstrip()
    if not text:
        return ""
    indent = indent_of(line)
    if indent in mapping:
        return mapping[indent] + text
    inner = [quoted for quoted in mapping if indent.startswith(quoted)]
    if inner:  # deeper than a known level: keep the difference, in the file's unit
        base = max(inner, key=len)
        return mapping[base] + _converted(indent[len(base) :], mapping) + text
    base = min(mapping, key=len)  # shallower than all known levels: take the same amount off
    real = mapping[base]
    missing = len(base) - len(indent)
    if missing >= 0 and len(real) >= missing:
        return real[: len(real) - missing] + text
    return text


def _converted(extra: str, mapping: dict[str, str]) -> str:
    """Additional indentation in the unit that the file uses, learned from the steps between known levels."""
    steps = sorted(mapping, key=len)
    for shallow, deep in itertools.pairwise(steps):
        quoted = len(deep) - len(shallow)
        if deep.startswith(shallow) and mapping[deep].startswith(mapping[shallow]) and len(extra) % quoted == 0:
            real = mapping[deep][len(mapping[shallow]) :]
            return real * (len(extra) // quoted)
    joined = "".join(mapping.values())
    if "\t" in joined and " " not in joined and "\t" not in extra:
        return "\t" * max(1, len(extra) // 4)
    return extra
