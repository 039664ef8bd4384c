"""What does the same has the same form, and what does not has another; hunks are told apart by it."""

from __future__ import annotations

import pytest

from agent.review.harmless import harmful_hunks
from agent.review.python_form import python_form
from tests.agent.review.test_checks_and_passages import changed
from tools.code import definitions
from tools.git_changes import ChangedFile

SAME = {
    "type hints": ("def f(x):\n    return x + 1\n", "def f(x: int) -> int:\n    return x + 1\n"),
    "a docstring": ("def f(x):\n    return x\n", 'def f(x):\n    """Same."""\n    return x\n'),
    "parentheses": ("return x\n", "return (x)\n"),
    "spelled out": ("def f(x):\n    x += 1\n    return x\n", "def f(x):\n    x = x + 1\n    return x\n"),
    "a variable for a value": ("def f(x):\n    return x * 2\n", "def f(x):\n    y = x * 2\n    return y\n"),
    "a variable for a condition": (
        "def f(x):\n    if x > 1:\n        return 1\n    return 0\n",
        "def f(x):\n    large = x > 1\n    if large:\n        return 1\n    return 0\n",
    ),
    "other names": (
        "def f(x):\n    t = 0\n    for i in x:\n        t += i\n    return t\n",
        "def f(x):\n    total = 0\n    for value in x:\n        total += value\n    return total\n",
    ),
    "a log": ("def f(x):\n    return x\n", "def f(x):\n    logger.debug('x is %s', x)\n    return x\n"),
    "a message": ("raise ValueError('no')\n", "raise ValueError(f'no {x}')\n"),
    "a printed text": ("print('a', x)\n", "print('b', x)\n"),
    "imports in another order": ("import os, sys\n", "import sys\nimport os\n"),
    "a comparison from the other side": ("a > b\nf(a == b)\n", "b < a\nf(b == a)\n"),
    "no else behind a return": (
        "def f(x):\n    if x:\n        return 1\n    else:\n        return 2\n",
        "def f(x):\n    if x:\n        return 1\n    return 2\n",
    ),
    "an expression for an if": ("if c:\n    x = 1\nelse:\n    x = 2\n", "x = 1 if c else 2\n"),
    "a condition turned round": (
        "if not a == b:\n    f()\nelse:\n    g()\n",
        "if a == b:\n    g()\nelse:\n    f()\n",
    ),
    "an empty list": ("x = list()\n", "x = []\n"),
    "keywords in another order": ("f(a=1, b=2)\n", "f(b=2, a=1)\n"),
}
OTHER = {
    "another sign": ("x + 1\n", "x - 1\n"),
    "another bound": ("f(a > b)\n", "f(a >= b)\n"),
    "sides exchanged": ("f(a > b)\n", "f(b > a)\n"),
    "arguments exchanged": ("f(a, b)\n", "f(b, a)\n"),
    "the opposite": ("f(a == b)\n", "f(a != b)\n"),
    "variables exchanged": (
        "def f(a, b):\n    x = a\n    y = b\n    return x - y\n",
        "def f(a, b):\n    x = a\n    y = b\n    return y - x\n",
    ),
    "a parameter renamed": ("def f(a):\n    return a\n", "def f(b):\n    return b\n"),
    "a field's type": ("class A:\n    x: int\n", "class A:\n    x: str\n"),
    "a statement less": ("def f(x):\n    g(x)\n    return x\n", "def f(x):\n    return x\n"),
    "a log that acts": ("logger.debug(x)\n", "logger.debug(x.pop())\n"),
    "a value used twice": (
        "def f(x):\n    return x() - x()\n",
        "def f(x):\n    y = x()\n    return y - y\n",
    ),
    "an import of another": ("from a import f\n", "from b import f\n"),
    "a global renamed": ("def f():\n    return g()\n", "def f():\n    return h()\n"),
    "subtraction from the other side": ("f(1 - x)\n", "f(x - 1)\n"),
    "a local that hides a function": (
        "def f(x):\n    size = 1\n    return len(x) - size\n",
        "def f(x):\n    len = 1\n    return len(x) - len\n",
    ),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
def test_what_does_the_same_has_the_same_form(one: str, other: str) -> None:
    assert python_form(one) is not None
    assert python_form(one) == python_form(other)


@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=OTHER.keys())
def test_what_does_something_else_has_another_form(one: str, other: str) -> None:
    assert python_form(one) is not None
    assert python_form(one) != python_form(other)


def test_what_cannot_be_parsed_has_no_form() -> None:
    assert python_form("else:\n") is None
    assert python_form("x = 'a\0'\n") is None
    assert python_form("(" * 2000 + ")" * 2000) is None


OLD = "def f(x):\n    a = x + 1\n    b = x + 2\n    c = g(a, b)\n    return c\n"


def harmful(new: str) -> list[int]:
    file: ChangedFile = changed(OLD, new)
    symbols = definitions(file.path, (file.new or "").encode())
    return [hunk.new_start for hunk in harmful_hunks(file, symbols)]


def test_only_the_hunk_that_does_something_else_is_left() -> None:
    assert harmful(OLD.replace("return c", "return (c)")) == []
    assert harmful(OLD.replace("return c", "return (c)").replace("x + 1", "x - 1")) == [2]


def test_a_renaming_in_two_places_is_seen_beside_a_mistake_in_a_third() -> None:
    new = OLD.replace("c = g", "result = g").replace("return c", "return result")
    assert harmful(new) == []
    assert harmful(OLD.replace("b = ", "second = ").replace("g(a, b)", "g(a, second)").replace("x + 1", "x")) == [2]


def test_a_mistake_that_two_hunks_make_together_is_not_taken_for_harmless() -> None:
    assert harmful(OLD.replace("x + 1", "x + 2").replace("b = x + 2", "b = x + 1")) != []
