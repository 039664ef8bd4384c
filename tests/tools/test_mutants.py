"""Changes at one place of a piece of code: each slip below is put right by one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.mutants import Mutant, mutants

GO = "package a\nfunc f(n int) bool { return n > 1 || n < 9 }"
PYTHON = """\
import math


class Account:
    def withdraw(amount):
        self.balance -= amount

    def owed(self, rate, days=[]):
        total = 0
        for _, day in enumerate(range(days)):
            if day < rate and not self.closed:
                total += day * rate
        return total

    def label(self):
        f"{self.ownr}: {min(self.balance, 0)}"
"""


def texts(path: str, source: str, first: int = 1, last: int = 1000, names: tuple[str, ...] = ()) -> set[str]:
    content = source.encode()
    return {mutant.apply(content).decode() for mutant in mutants(path, content, (first, last), names)}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("withdraw(amount)", "withdraw(self, amount)"),
        ("-= amount", "+= amount"),
        ("total = 0", "total = 1"),
        ("range(days)", "range(days + 1)"),
        ("enumerate(range(days))", "enumerate(range(days), start=1)"),
        ("day < rate", "day <= rate"),
        ("day < rate", "rate < day"),
        ("day < rate and not self.closed", "not self.closed"),
        ("not self.closed", "self.closed"),
        (" and ", " or "),
        ("if day < rate and not self.closed:", "if not (day < rate and not self.closed):"),
        ("day * rate", "day + rate"),
        ("day * rate", "rate"),
        ("        return total", "            return total"),
        ("self.ownr", "self.owner"),
        ("min(", "max("),
        ("min(self.balance, 0)", "min(0, self.balance)"),
        ("min(self.balance, 0)", "min(self.balance)"),
        ('        f"', '        return f"'),
    ],
)
def test_a_slip_of_the_pen_is_put_right(wrong: str, right: str) -> None:
    assert PYTHON.count(wrong) == 1
    assert PYTHON.replace(wrong, right) in texts("a.py", PYTHON, names=("owner",))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a.py", "def f(ab, ac):\n    for ad, ae in ab:\n        ac, af = ad, ae\n    return ac\n"),
        ("a.js", "function f(ab) { const ac = 1; let ad = ab; return ac }"),
    ],
)
def test_names_are_changed_where_they_are_used_and_not_where_they_are_given(path: str, source: str) -> None:
    used = {m.start for m in mutants(path, source.encode(), (1, 9)) if m.kind == "name"}
    given = [
        source.index(text) for text in ("ad, ae in", "ae in", "ac, af", "af =", "ac = 1", "ad = ab") if text in source
    ]
    assert len(given) >= 2
    assert used
    assert not used & set(given)


def test_a_list_as_a_default_is_made_anew_in_each_call() -> None:
    assert any(
        "days=None):\n        if days is None:\n            days = []\n        total = 0" in text
        for text in texts("a.py", PYTHON)
    )


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("a.js", "if (last && start < last[1]) { f(a, b); }", "if (last && start <= last[1]) { f(a, b); }"),
        ("a.js", "if (ready) { go(); }", "if (!(ready)) { go(); }"),
        ("a.c", "int f(int n) { return n % 2 == 1; }", "int f(int n) { return n % 2 == 0; }"),
        ("a.go", GO, GO.replace("||", "&&")),
        ("a.rs", "fn f(n: i32) -> i32 { n - 1 }", "fn f(n: i32) -> i32 { n + 1 }"),
    ],
)  # fmt: skip
def test_other_languages_have_slips_too(path: str, wrong: str, right: str) -> None:
    assert right in texts(path, wrong)


def test_only_the_wanted_lines_are_changed_and_comments_and_texts_never() -> None:
    source = 'a = 1\nb = 2  # 3 < 4\nc = "5 < 6"\n'
    assert {mutant.line for mutant in mutants("a.py", source.encode(), (2, 2))} == {2}
    assert all("# 3 < 4" in text and '"5 < 6"' in text for text in texts("a.py", source))


def test_a_file_without_a_grammar_has_none() -> None:
    assert mutants("a.unknown", b"a < b", (1, 1)) == []


@given(st.sampled_from(["a.py", "a.js", "a.c", "a.go", "a.rs", "a.rb", "a.java"]), st.text(max_size=60))
def test_whatever_a_file_holds_a_mutant_changes_one_range_of_it(path: str, text: str) -> None:
    source = text.encode("utf-8", "surrogatepass")
    found = mutants(path, source, (1, 1000))
    assert len({(each.start, each.end, each.text) for each in found}) == len(found)
    for each in found:
        assert 0 <= each.start <= each.end <= len(source)
        assert each.apply(source) != source


def test_a_mutant_is_what_it_says() -> None:
    assert Mutant(1, 3, "xyz", 1, "name").apply(b"abcd") == b"axyzd"
