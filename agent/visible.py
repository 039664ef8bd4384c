"""Text that somebody has to judge: nothing in it is hidden, and what can deceive the eye is named.

``agent.clean`` takes away what is harmful to a terminal; here it is shown instead.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_NAMED = 4  # characters that one warning names
_LONG_LINE = 300
_END_SHOWN = 120
_MANY_LINES = 12
_PADDING = re.compile(r"(?<=\S)[ \t]{40,}(?=\S)")
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){5,}")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"  # of emoji and of scripts that need them
# Letters that most fonts draw like Latin ones, and signs that they draw like those of a shell.
_LETTERS = frozenset("аеорсухіјѕһԁԛԝվոսցօАВЕЅІЈКМНОРСТУХԚԜαινορυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63"  # - with a letter behind it
_SIGNS = frozenset(
    f"{_DASHES}"
    "\u2044\u2215\u2571\u29f8\u2216\u29f5"  # / and backslash
    "\u2018\u2019\u02bc\u02b9\u2032\u201c\u201d\u02ba\u2033\u02cb"  # quotes
    "\u01c0\u2223\u2758\ufe69\u2024\u037e\u223c\u02dc"  # | $ . ; ~
)
_FLAG = re.compile(f"(?<!\\w)[{_DASHES}]+(?=\\w)")


def visible(text: str) -> str:
    """The text with every character in sight: hidden ones as ``<U+202E>``, padding as its length.

    Newlines and tabs stay; a carriage return does not.
    """
    shown = "".join(f"<U+{ord(char):04X}>" if _is_hidden(char) else char for char in text)
    shown = _EMPTY_LINES.sub(lambda match: f"\n<{match[0].count(chr(10)) - 1} empty lines>\n", shown)
    return _PADDING.sub(lambda match: f" <{len(match[0])} blanks> ", shown)


def warnings_about(text: str) -> tuple[str, ...]:
    """What in a text could deceive who reads it, a sentence each; none for most texts."""
    return _warnings(text, signs=False)


def warnings_about_command(command: str) -> tuple[str, ...]:
    """The same for a command line, where signs count too, and where it ends when that is far away."""
    lines = command.rstrip().split("\n")
    found = list(_warnings(command, signs=True))
    if _PADDING.search(command) or _EMPTY_LINES.search(command):
        found.append("It is padded, so that a part of it may be out of sight.")
    longest = max(map(len, lines))
    if len(lines) > _MANY_LINES or longest > _LONG_LINE:
        size = f"{len(lines)} lines" if len(lines) > _MANY_LINES else f"{longest:,} characters in one line"
        found.append(f"It has {size} and ends with: {visible(lines[-1][-_END_SHOWN:].strip())}")
    return tuple(found)


def _warnings(text: str, *, signs: bool) -> tuple[str, ...]:
    found: list[str] = []
    chars = dict.fromkeys(text)  # each one is looked for in the whole text
    if hidden := [char for char in chars if _is_hidden(char)]:
        found.append(f"It holds characters that cannot be seen: {_names(hidden)}.")
    if alike := [char for char in chars if _resembles(char, text, signs=signs)]:
        found.append(f"It holds characters that look like others: {_names(alike)}.")
    return tuple(found)


def _is_hidden(char: str) -> bool:
    if char.isascii():
        return not char.isprintable() and char not in "\n\t"
    category = unicodedata.category(char)
    return (
        (category in _HIDDEN and char not in _JOINERS) or (category == "Zs") or char in "\u115f\u1160\u3164\uffa0\u2800"
    )


def _resembles(char: str, text: str, *, signs: bool) -> bool:
    """Whether a character passes for an ASCII one; a letter only in a word that is not in its script."""
    if char.isascii() or _is_hidden(char):
        return False
    if char in _SIGNS:
        return signs and (char not in _DASHES or any(char in found[0] for found in _FLAG.finditer(text)))
    plain = unicodedata.normalize("NFKC", char)
    if len(plain) == 1 and plain.isascii() and not char.isnumeric():
        return True
    return char in _LETTERS and _beside_latin(char, text)


def _beside_latin(char: str, text: str) -> bool:
    """Whether the letter stands in a word with Latin letters, or in one of look-alikes only."""
    words = (word for word in re.findall(r"\w+", text) if char in word)
    return any(any(each.isascii() for each in word) or all(each in _LETTERS for each in word) for word in words)


def _names(chars: Sequence[str]) -> str:
    named = [f"U+{ord(char):04X} {unicodedata.name(char, 'unnamed').lower()}" for char in chars[:_NAMED]]
    return ", ".join(named) + (f" and {len(chars) - _NAMED} more" if len(chars) > _NAMED else "")
