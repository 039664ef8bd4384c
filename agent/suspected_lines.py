"""Which lines a bug may be in, one by one, for a model that finds the place worse than the change; it asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.evidence import Evidence, Excerpt, Sources, Suspect
from agent.lead_in import body_lines

_AMONG_OTHERS = 4  # lines that no failure names, between two rounds of those that one does

_Place = tuple[str, int]


def suspected_lines(evidence: Evidence, shown: Sequence[Suspect], sources: Sources) -> list[Excerpt]:
    """Lines of the files that are ``shown``: those that the failures name, innermost first, again and again between the
    other lines of the suspects, in their order."""
    paths = dict.fromkeys(suspect.path for suspect in shown)
    named = dict.fromkeys(
        place for failure, _ in evidence.tests for place in reversed(sources.places(failure)) if place[0] in paths
    )
    others: list[_Place] = []
    for suspect in shown:
        if suspect.symbol is not None:
            others += [(suspect.path, suspect.symbol.start_line + at) for at in body_lines(suspect, sources)]
            others.append((suspect.path, suspect.symbol.line))
    others += [(path, 1) for path in paths]  # where an import may be missing
    first = _written(named, sources)
    rest = _written((place for place in dict.fromkeys(others) if place not in named), sources)
    rounds = (rest[at : at + _AMONG_OTHERS] for at in range(0, len(rest), _AMONG_OTHERS))
    return [*first, *(each for some in rounds for each in (*first, *some))]


def _written(places: Iterable[_Place], sources: Sources) -> list[Excerpt]:
    """The lines at these places that hold something."""
    lines = (sources.lines(path, number, number) for path, number in places)
    return [line for line in lines if line.text.strip()]
