"""A file that does not parse, and what makes it parse."""

from __future__ import annotations

import ast

import pytest

from agent.syntax_repairs import repairs

CASES = """\
def f(a)
    return a
---
def f(a):
    return a
===
if a  # why
    b()
---
if a:  # why
    b()
===
def f(a):
    if a > 1:
        return 1
    else
        return 2
---
def f(a):
    if a > 1:
        return 1
    else:
        return 2
===
def f(a):
    return len(str(a)


x = 1
---
def f(a):
    return len(str(a))


x = 1
===
def f(a):
    if len(a:
        return 1
---
def f(a):
    if len(a):
        return 1
===
x = [1, 2
y = 3
---
x = [1, 2]
y = 3
===
x = f(
    1,
    2
y = 3
---
x = f(
    1,
    2)
y = 3
===
x = {'a': [1, 2}
---
x = {'a': [1, 2]}
===
x = f(1))
---
x = f(1)
===
def f(a):
    if a = 1:
        return 2
---
def f(a):
    if a == 1:
        return 2
===
def f(a):
    b = 1
      return b
---
def f(a):
    b = 1
    return b
===
def f(a):
    for b in a:
    print(b)
    return 1
---
def f(a):
    for b in a:
        print(b)
    return 1
===
def f(a):
return a
---
def f(a):
    return a
===
def f(a):
b = a
return b


x = 1
---
def f(a):
    b = a
    return b


x = 1
===
def f(a):
    if a:
        b = 1
      return b
---
def f(a):
    if a:
        b = 1
    return b
===
x = "abc
y = 1
---
x = "abc"
y = 1
===
print("abc)
y = 1
---
print("abc")
y = 1
===
x = [1, 2 3]
---
x = [1, 2, 3]
===
x = {
    'a': 1
    'b': 2,
}
---
x = {
    'a': 1,
    'b': 2,
}
"""  # what is broken, what was meant


@pytest.mark.parametrize("case", CASES.split("===\n"))
def test_what_was_meant_is_among_the_few_changes_that_make_it_parse(case: str) -> None:
    broken, meant = case.split("---\n")
    edits = repairs("a.py", broken)
    after = [broken.replace(edit.old, edit.new) for edit in edits]
    assert meant in after
    for edit, text in zip(edits, after, strict=True):
        assert broken.count(edit.old) == 1
        ast.parse(text)


def test_a_file_that_parses_or_is_beyond_help_is_left_alone() -> None:
    assert repairs("a.py", "x = 1\n") == []
    assert repairs("a.py", "def ) ( f [\n" * 5) == []
    assert repairs("a.py", "x = 1\0\n") == []
    assert repairs("a.py", "") == []
