"""Changes as a model that is not sure makes them: refused by the tool, or made and no help.

What comes after them is what there is to learn. Nothing is run here.
"""

from __future__ import annotations

import difflib
import random
from dataclasses import dataclass
from itertools import islice

from training.bugs import KINDS, Bug, inject
from training.quotations import Pair
from training.specimens import Specimen, find


@dataclass(frozen=True, slots=True)
class Slip:
    """A change that does not help; ``refused`` where the tool does not make it."""

    pair: Pair
    refused: bool


def slip(specimen: Specimen, bug: Bug, chance: random.Random) -> Slip | None:
    """A wrong change of the file with the bug; None where none is found."""
    return _refused(bug, chance) if chance.random() < 0.5 else _no_help(specimen, bug, chance)


def _refused(bug: Bug, chance: random.Random) -> Slip:
    """The right change, copied badly."""
    old, new = bug.repair()
    at = chance.randrange(len(old) - len(old.lstrip()) + 1, len(old) + 1)
    wrongs = (
        (old, old),
        (old[: at - 1] + old[at:] or old, new),  # a letter is missing
        (old[:at] + old[max(0, at - 3) :], new),  # it goes on at the wrong place
        (old + "\n" + old, new),
    )
    return Slip(chance.choice(wrongs), refused=True)


def _no_help(specimen: Specimen, bug: Bug, chance: random.Random) -> Slip | None:
    """Another change of the function, of the line with the bug or of one that was right."""
    try:
        code = find(bug.text, specimen.name, specimen.owner)
    except SyntaxError:
        return None
    if code is None:
        return None
    for kind in chance.sample(_HARMLESS, len(_HARMLESS)):
        for other in islice(inject(code, kind, chance.randrange(1000)), 2):
            pairs = differences(bug.text, other.text)
            if len(pairs) == 1 and other.text != specimen.text:
                return Slip(pairs[0], refused=False)
    return None


_HARMLESS = tuple(sorted(KINDS.keys() - {"bad_indentation", "missing_colon", "missing_bracket", "missing_import"}))


def differences(text: str, wanted: str) -> tuple[Pair, ...]:
    """The lines that differ between two texts, as replacements of what stands in the first one once."""
    old, new = text.split("\n"), wanted.split("\n")
    pairs: list[Pair] = []
    for tag, start, end, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        while start > 0 and (start == end or not _once("\n".join(old[start:end]), text)):
            start, first = start - 1, first - 1
        found = "\n".join(old[start:end])
        if not _once(found, text):
            return ()
        pairs.append((found, "\n".join(new[first:last])))
    return tuple(pairs)


def _once(piece: str, text: str) -> bool:
    return bool(piece.strip()) and text.count(piece) == 1
