"""Whole looks for garbage happen when nobody types, and not otherwise."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from tui.garbage import QuietCollector


class Knot:
    """Refers to itself, so that counting references never frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collector() -> Iterator[QuietCollector]:
    collector = QuietCollector()
    collector.begin()
    yield collector
    collector.end()


def old_garbage() -> weakref.ref[Knot]:
    """Garbage that only a whole look finds, behind enough young looks to make one worth while."""
    knot = Knot()
    for _ in range(30):
        gc.collect(1)
    return weakref.ref(knot)


def test_garbage_is_looked_for_when_nobody_types(collector: QuietCollector) -> None:
    garbage = old_garbage()
    assert garbage() is not None
    collector.key()
    assert not collector.rest()
    assert garbage() is not None


def test_a_quiet_moment_frees_what_only_refers_to_itself(collector: QuietCollector) -> None:
    garbage = old_garbage()
    assert collector.rest()
    assert garbage() is None
    assert not collector.rest()  # nothing new to look for


def test_python_collects_as_before_when_the_window_is_closed() -> None:
    before = gc.get_threshold()
    collector = QuietCollector()
    collector.begin()
    assert gc.get_threshold() != before
    collector.end()
    assert gc.get_threshold() == before
