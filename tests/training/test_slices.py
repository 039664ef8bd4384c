"""Functions cut out of their files, with other names, and changes that do not help."""

from __future__ import annotations

import ast
import random

import pytest

from training.bugs import inject
from training.renaming import exchange, names_of, renamed
from training.slices import cut_out, without_words
from training.slips import differences
from training.source_code import Code
from training.specimens import functions

TEXT = '''\
"""Prices."""

import math
import os.path
from decimal import Decimal as Exact

from elsewhere import thing

RATE = 0.5
UNUSED = os.path.sep


def helper(value: Exact) -> float:
    """Half of it,

    or what RATE says.
    """
    return value * RATE


def price(value, count=2):
    total = 0
    for number in range(count):
        total += helper(value) + math.floor(number)
    return f"{total}"


def foreign(value):
    first = thing(value)
    second = first
    return second


class Order:
    """What somebody buys."""

    kind = "order"

    def __init__(self, items):
        self.items = self.sorted(items)

    def sorted(self, items):
        first = list(items)
        first.sort()
        return first

    def unused(self):
        return foreign(self)

    def size(self, factor):
        size = len(self.items) * factor
        if self.kind:
            size += 1
        return size
'''


def code(name: str) -> Code:
    return next(each for each in functions(TEXT) if each.function.name == name)


def test_what_is_cut_out_holds_what_the_function_needs_and_runs_by_itself() -> None:
    text = cut_out(code("price"))
    assert text is not None
    assert "UNUSED" not in text
    assert "elsewhere" not in text
    assert "Decimal" not in text, "annotations are never evaluated"
    names: dict[str, object] = {}
    exec(compile(text, "price.py", "exec"), names)
    assert eval("price(3.0)", names) == "4.0"


def test_of_a_class_the_methods_that_are_not_used_are_left_out() -> None:
    text = cut_out(code("size"))
    assert text is not None
    assert "unused" not in text
    names: dict[str, object] = {}
    exec(compile(text, "order.py", "exec"), names)
    assert eval("Order([3, 1]).size(2)", names) == 5


def test_what_needs_another_package_is_not_cut_out() -> None:
    assert cut_out(code("foreign")) is None


def test_the_words_about_code_can_be_left_out() -> None:
    text = without_words(TEXT)
    assert "or what RATE says" not in text
    assert '"""What somebody buys."""' in text, "it is one line"
    assert ast.dump(ast.parse(text).body[-1]) == ast.dump(ast.parse(TEXT).body[-1])


def test_other_names_do_the_same() -> None:
    text = cut_out(code("price"))
    assert text is not None
    given = exchange(text, random.Random(1), [f"name_{number}" for number in range(99)], 1.0)
    assert {"price", "value", "helper"} <= given.keys()
    assert "total" not in given, "it stands in a text with code in it"
    other = renamed(text, given)
    assert "helper" not in other
    names: dict[str, object] = {}
    exec(compile(other, "other.py", "exec"), names)
    assert eval(renamed("price(3.0)", given), names) == "4.0"


def test_names_to_be_given_are_those_that_the_file_makes_itself() -> None:
    assert {"price", "helper", "number", "factor"} <= names_of(TEXT)
    assert not {"floor", "size_of", "range", "Order", "RATE", "self"} & names_of(TEXT)


@pytest.mark.parametrize("kind", ["wrong_name", "missing_return", "missing_colon", "off_by_one", "missing_import"])
def test_differences_lead_from_one_text_to_the_other(kind: str) -> None:
    for bug in inject(code("price"), kind, 3):
        pairs = differences(bug.text, TEXT)
        text = bug.text
        for old, new in pairs:
            assert text.count(old) == 1
            text = text.replace(old, new)
        assert text == TEXT or not pairs
