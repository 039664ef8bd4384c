"""What a change is cut into, what is certainly wrong with it, and what is certainly harmless."""

from __future__ import annotations

from difflib import SequenceMatcher

import pytest

from agent.review.checks import check_file
from agent.review.equivalent import renames, same_code
from agent.review.passages import passages
from tools.git_changes import ChangedFile, Hunk

OLD = '''\
"""Prices."""

import math


def total(price, count):
    """The price of some pieces."""
    amount = price * count
    if count >= 10:
        amount -= amount // 10
    return amount


def rounded(value):
    return math.floor(value + 0.5)
'''


def changed(old: str, new: str, path: str = "prices.py") -> ChangedFile:
    hunks = [
        Hunk(a + 1, b - a, c + 1, d - c)
        for tag, a, b, c, d in SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    return ChangedFile(path, path, "modified" if old else "added", old or None, new, tuple(hunks))


def test_a_passage_holds_both_versions_on_the_same_context() -> None:
    (passage,) = passages(changed(OLD, OLD.replace("count >= 10", "count > 10")))
    assert (passage.name, passage.start, passage.changed) == ("total", 9, (9,))
    assert passage.context.startswith("def total(price, count):")
    assert passage.context.endswith("amount = price * count\n")
    assert passage.old.splitlines()[0].strip() == "if count >= 10:"
    assert passage.new.splitlines()[0].strip() == "if count > 10:"
    assert passage.old.splitlines()[1:] == passage.new.splitlines()[1:], "what follows is the same"


@pytest.mark.parametrize(
    "new",
    [
        OLD.replace("amount", "sum_of_all"),
        OLD.replace("    return amount", "    # the usual case\n    return amount"),
        OLD.replace("pieces.", "pieces, with a discount."),
        OLD.replace("return amount", "return (amount)"),
        OLD.replace("price * count", "price  *  count"),
    ],
    ids=["renamed", "commented", "documented", "in parentheses", "spaced"],
)
def test_what_does_the_same_as_before_is_not_judged(new: str) -> None:
    assert passages(changed(OLD, new)) == []


@pytest.mark.parametrize(
    "new",
    [
        OLD.replace("return amount", "return price"),
        OLD.replace("price * count", "price * price"),
        OLD.replace("math.floor", "math.ceil"),
        OLD.replace("def total(price, count)", "def total(count, price)"),
        OLD.replace("amount // 10", "amount // 5"),
    ],
    ids=["another variable", "a variable twice", "another function", "parameters exchanged", "another constant"],
)
def test_what_may_do_something_else_is_judged(new: str) -> None:
    assert len(passages(changed(OLD, new))) == 1


def test_a_mistake_beside_a_renaming_is_seen_with_the_old_names() -> None:
    new = OLD.replace("amount", "result").replace("count >= 10", "count > 10")
    texts = [passage.new for passage in passages(changed(OLD, new))]
    assert any("count > 10" in text for text in texts)
    assert not any("result" in text for text in texts)


def test_renames_are_names_that_came_for_names_that_went() -> None:
    assert renames("a.py", "def f(x):\n    y = x\n    return y\n", "def f(x):\n    z = x\n    return z\n") == {"z": "y"}
    assert renames("a.py", "def f(x):\n    return x\n", "def f(x):\n    z = x\n    return z\n") == {}


def test_a_fragment_that_uses_another_variable_is_not_the_same() -> None:
    assert not same_code("a.py", "return a\n", "return b\n", whole=False)


def test_new_code_is_cut_where_definitions_begin() -> None:
    cut = passages(changed("", OLD))
    assert [passage.name for passage in cut] == ["prices.py", "total", "rounded"]
    assert all(not passage.old for passage in cut)
    assert sorted(n for passage in cut for n in passage.changed) == list(range(1, len(OLD.splitlines()) + 1))


def test_a_language_that_nobody_knows_has_no_passages() -> None:
    assert passages(changed("a\n", "b\n", "notes.txt")) == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("    breakpoint()", "debug"),
        ("    import pdb; pdb.set_trace()", "debug"),
        ("KEY = 'AKIAIOSFODNN7EXAMPLE'", "secret"),
        ("TOKEN = 'ghp_" + "a1B2" * 9 + "'", "secret"),
        ("# DO NOT COMMIT", "debug"),
    ],
)
def test_leftovers_and_secrets_are_found_in_added_lines_only(line: str, rule: str) -> None:
    new = OLD.replace(
        "    return amount", f"    pass\n{line}\n    return amount" if line[0] == " " else "    return amount"
    )
    new = new if line[0] == " " else f"{new}\n{line}\n"
    assert rule in {finding.rule for finding in check_file(changed(OLD, new))}
    assert rule not in {finding.rule for finding in check_file(changed(new, new + "\n\nX = 1\n"))}


def test_a_secret_is_not_repeated_in_the_report() -> None:
    (finding,) = check_file(changed("", "KEY = 'AKIAIOSFODNN7EXAMPLE'\n"))
    assert "AKIA" not in finding.code + finding.title + finding.body


def test_a_syntax_error_is_found_and_lies_inside_the_change() -> None:
    file = changed(OLD, OLD.replace("if count >= 10:", "if count >= 10"))
    (finding,) = check_file(file)
    assert (finding.rule, int(finding.priority)) == ("syntax", 0)
    assert finding.start in file.added_lines


def test_a_conflict_needs_both_ends_and_a_heading_is_none() -> None:
    conflict = f"{OLD}<<<<<<< ours\na = 1\n=======\na = 2\n>>>>>>> theirs\n"
    assert "conflict-marker" in {finding.rule for finding in check_file(changed(OLD, conflict))}
    heading = "Title\n=======\n\ntext\n"
    assert check_file(changed("", heading, "notes.md")) == []
