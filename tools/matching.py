"""Finds the one place in a text that a quotation means: exactly, else but for characters that look alike, else but for
white space. It never guesses at words, and changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from tools.indentation import refit
from tools.text import newline_of

_ALIKE = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′", "'"),
        **dict.fromkeys("“”„‟″", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000", " "),
    }
)
_TRAILING = re.compile(r"[ \t]+(?=\n)")
_NUMBERED = re.compile(r"^ *\d+\t")  # the form in which the read tool shows lines


@dataclass(frozen=True, slots=True)
class Match:
    """Replace ``text[start:end]`` by ``replacement``. ``how`` is "exact", "characters" or "white space"."""

    start: int
    end: int
    replacement: str
    how: str = "exact"


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The quotation fits several places; ``offsets`` are where they start."""

    offsets: tuple[int, ...]


def find(text: str, old: str, new: str) -> Match | Ambiguous | None:
    """The place that ``old`` means and what ``new`` becomes there; None when there is none. ``old`` is not empty.

    Of several places the only one is meant where whole lines read so, but for their margins.
    """
    raw, old, new = old, old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    found = _find(text, old, new)
    if found is None and _is_numbered(old):
        found = _find(text, _without_numbers(old), _without_numbers(new))
    return _to_the_letter(text, raw, new) if found is None else found


def _to_the_letter(text: str, old: str, new: str) -> Match | Ambiguous | None:
    """For a quotation that ends between the two characters of a line end: no view of whole line ends shows that."""
    places = occurrences(text, old)
    if len(places) != 1:
        return Ambiguous(tuple(places)) if places else None
    return Match(places[0], places[0] + len(old), new)


def _find(text: str, old: str, new: str) -> Match | Ambiguous | None:
    for view, how in ((_plain, "exact"), (_alike, "characters")):
        found = _in_view(text, old, new, view, how)
        if found is not None:
            return found
    return _by_lines(text, old, new)


def occurrences(text: str, part: str, limit: int = 20) -> list[int]:
    """Where ``part`` starts in ``text``, overlapping ones included, at most ``limit``."""
    found: list[int] = []
    at = text.find(part)
    while at >= 0 and len(found) < limit:
        found.append(at)
        at = text.find(part, at + 1)
    return found


def _fills_lines(text: str, start: int, size: int) -> bool:
    """Whether the lines that a part of the text is in hold nothing else."""
    behind = text.find("\n", start + size)
    rest = text[start + size :] if behind < 0 else text[start + size : behind]
    return not (text[text.rfind("\n", 0, start) + 1 : start] + rest).strip(" \t")


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")


def _alike(text: str) -> str:
    return _TRAILING.sub("", unicodedata.normalize("NFC", _plain(text).translate(_ALIKE)))


def _in_view(text: str, old: str, new: str, view: Callable[[str], str], how: str) -> Match | Ambiguous | None:
    seen, wanted = view(text), view(old)
    places = occurrences(seen, wanted) if wanted else []
    if not places:
        return None
    offsets = list(range(len(text) + 1)) if seen == text else _offsets(text, view, seen)
    if offsets is None:
        return None
    if len(places) > 1:
        whole = [place for place in occurrences(seen, wanted, len(seen)) if _fills_lines(seen, place, len(wanted))]
        if len(whole) != 1:
            return Ambiguous(tuple(offsets[place] for place in places))
        places = whole
    start, end = offsets[places[0]], offsets[places[0] + len(wanted)]
    return Match(start, end, _with_line_ends(new, text, start, end), how)


def _offsets(text: str, view: Callable[[str], str], seen: str) -> list[int] | None:
    """For each position in ``view(text)`` the position in ``text``; None when the view cannot be taken in pieces."""
    offsets: list[int] = []
    pieces: list[str] = []
    for piece in re.finditer(r"[ \t]*\r?\n|[ \t]+|.[\u0300-\u036f\u1160-\u11ff\u3099\u309a]*", text, re.DOTALL):
        shown = view(piece.group())
        pieces.append(shown)
        offsets.extend([piece.start()] * min(1, len(shown)))
        if len(shown) > 1:  # white space: each character for itself
            offsets.extend(piece.start() + index for index in range(1, len(shown)))
    offsets.append(len(text))
    return offsets if "".join(pieces) == seen and len(offsets) == len(seen) + 1 else None


def _with_line_ends(new: str, text: str, start: int, end: int) -> str:
    """``new`` with the line ends of the place that it goes to."""
    region = text[start:end]
    ending = newline_of(region) if "\n" in region else newline_of(text)
    return new.replace("\n", ending) if ending != "\n" else new


def _key(line: str) -> str:
    return " ".join(unicodedata.normalize("NFC", line.translate(_ALIKE)).split())


def _by_lines(text: str, old: str, new: str) -> Match | Ambiguous | None:
    """Whole lines that differ in white space only; the replacement takes over the file's indentation."""
    old_lines, new_lines = old.split("\n"), new.split("\n")
    whole = len(old_lines) > 1 and not old_lines[-1].strip()  # the last line end belongs to the quotation
    while old_lines and not old_lines[0].strip():
        old_lines.pop(0)
        if new_lines and not new_lines[0].strip():
            new_lines.pop(0)
    while old_lines and not old_lines[-1].strip():
        old_lines.pop()
    if whole:
        while new_lines and not new_lines[-1].strip():
            new_lines.pop()
    if not old_lines:
        return None
    starts = _line_starts(text)
    lines = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    keys = [_key(line) for line in lines]
    wanted = [_key(line) for line in old_lines]
    size = len(wanted)
    places = [at for at in range(len(keys) - size + 1) if keys[at] == wanted[0] and keys[at : at + size] == wanted]
    if len(places) != 1:
        return Ambiguous(tuple(starts[at] for at in places[:20])) if places else None
    at = places[0]
    start, last = starts[at], lines[at + size - 1]
    end = starts[at + size - 1] + (len(last) if whole else len(last.rstrip("\r\n")))
    fitted = "\n".join(refit(old_lines, [line.rstrip("\r\n") for line in lines[at : at + size]], new_lines))
    if whole and fitted and last.endswith("\n"):
        fitted += "\n"
    return Match(start, end, _with_line_ends(fitted, text, start, end), "white space")


def _line_starts(text: str) -> list[int]:
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    return starts[:-1] if len(starts) > 1 and starts[-1] == len(text) else starts


def _is_numbered(old: str) -> bool:
    lines = [line for line in old.split("\n") if line.strip()]
    return bool(lines) and all(_NUMBERED.match(line) for line in lines)


def _without_numbers(text: str) -> str:
    return "\n".join(_NUMBERED.sub("", line) for line in text.split("\n"))
