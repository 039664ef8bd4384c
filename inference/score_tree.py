"""Continuations of one prompt as a tree: what several of them begin with is one path, to be decoded once.

It knows no engine: ``inference.forks`` decodes what it asks for and hands in the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Node:
    """The ids that may follow, and the log-probability of each, once its row was there."""

    children: dict[int, _Node] = field(default_factory=dict[int, "_Node"])
    scores: dict[int, float] = field(default_factory=dict[int, float])


@dataclass(frozen=True, slots=True)
class Stretch:
    """Ids to be decoded in one go: those of ``path`` behind its first ``shared`` ones, which were decoded before."""

    path: tuple[int, ...]
    shared: int


class ScoreTree:
    """The continuations that a request wants to know the likelihood of."""

    def __init__(self, continuations: Sequence[Sequence[int]]) -> None:
        self._continuations = continuations
        self._root = _Node()
        for ids in continuations:
            node = self._root
            for token in ids:
                node = node.children.setdefault(token, _Node())

    def stretches(self) -> Iterator[Stretch]:
        """What has to be decoded, depth first, so that a cut back to ``shared`` ids is all that lies between two.

        The last id of a continuation needs no decode: its score is in the row before it.
        """
        waiting: list[tuple[_Node, tuple[int, ...], int]] = [(self._root, (), 0)]
        while waiting:
            node, path, shared = waiting.pop()
            while inner := [(token, child) for token, child in node.children.items() if child.children]:
                (first, node), *others = inner
                waiting.extend((child, (*path, token), len(path)) for token, child in others)
                path = (*path, first)
            if len(path) > shared:
                yield Stretch(path, shared)

    def note(self, beginning: Sequence[int], score: Callable[[int], float]) -> None:
        """The row behind ``beginning`` is there: ``score`` tells the log-probability of an id in it."""
        node = self._root
        for token in beginning:
            node = node.children[token]
        for token in node.children:
            node.scores[token] = score(token)

    def scores(self) -> tuple[tuple[float, ...], ...]:
        """For each continuation the log-probability of each id; every row was noted."""
        return tuple(self._along(ids) for ids in self._continuations)

    def _along(self, ids: Sequence[int]) -> tuple[float, ...]:
        node, found = self._root, list[float]()
        for token in ids:
            found.append(node.scores[token])
            node = node.children[token]
        return tuple(found)
