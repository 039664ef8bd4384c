"""Definitions, the map of the repository, and syntax checks, through tree-sitter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.hands import Hands
from tools.code import definitions, enclosing_symbol, find_definition
from tools.repo_map import RepoMap
from tools.syntax import check_change, problems_in

PYTHON = b"""import functools


class Stack:
    def push(self, item):
        self.items.append(item)

    @functools.cache
    def size(
        self,
    ) -> int:
        def count():
            return len(self.items)
        return count()


async def main(): ...
"""


def test_python_definitions_have_names_lines_and_signatures() -> None:
    found = [(s.qualified_name, s.kind, s.start_line, s.end_line, s.line) for s in definitions("a.py", PYTHON)]
    assert found == [
        ("Stack", "class", 4, 14, 4),
        ("Stack.push", "method", 5, 6, 5),
        ("Stack.size", "method", 8, 14, 9),
        ("Stack.size.count", "function", 12, 13, 12),
        ("main", "function", 17, 17, 17),
    ]
    assert definitions("a.py", PYTHON)[2].signature == "def size( self, ) -> int"


@pytest.mark.parametrize(
    ("name", "source", "names"),
    [
        ("a.js", "function f() {}\nconst g = (x) => x;\nconst n = 1;\nclass A { m() {} }", ["f", "g", "A", "A.m"]),
        ("a.ts", "export interface I { x: number }\ntype T = string;\nenum E { A }", ["I", "T", "E"]),
        ("a.tsx", "export const C = () => <b>x</b>;", ["C"]),
        ("a.go", "package a\ntype S struct{}\nfunc (s *S) M() {}\nfunc F() {}\n", ["S", "S.M", "F"]),
        ("a.rs", "impl<T> S<T> { fn m(&self) {} }\nstruct S;\nmod n { fn f() {} }", ["S.m", "S", "n.f"]),
        ("a.c", "struct s { int x; };\nstatic int *f(struct s *p) { return 0; }", ["s", "f"]),
        ("a.cpp", "namespace n { class A { void m() {} }; }\nint n::A::q() { return 1; }", ["n.A", "n.A.m", "n.A.q"]),
        ("A.java", "class A { A() {} int m(int x) { return 1; } }", ["A", "A.A", "A.m"]),
        ("a.rb", "module M\n class A\n  def m(x)\n  end\n  def self.s; end\n end\nend", ["M", "M.A", "M.A.m", "M.A.s"]),
        ("a.sh", "f() { echo; }\n", ["f"]),
        ("a.json", '{"a": 1}', []),
        ("a.unknown", "def f(): pass", []),
    ],
)
def test_each_language_gives_its_definitions(name: str, source: str, names: list[str]) -> None:
    assert [symbol.qualified_name for symbol in definitions(name, source.encode())] == names


def test_the_innermost_definition_around_a_line_is_found() -> None:
    def name_at(line: int) -> str | None:
        symbol = enclosing_symbol("a.py", line, PYTHON)
        return symbol.qualified_name if symbol else None

    assert [name_at(line) for line in (1, 4, 6, 8, 13, 14)] == [
        None, "Stack", "Stack.push", "Stack.size", "Stack.size.count", "Stack.size",
    ]  # fmt: skip


def test_a_definition_is_found_by_plain_and_dotted_name(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg/stack.py").write_bytes(PYTHON)
    (tmp_path / "use.py").write_text("from pkg.stack import Stack\nStack().push(1)\n")
    for name in ("push", "Stack.push"):
        assert [(path, symbol.line) for path, symbol in find_definition(tmp_path, name)] == [("pkg/stack.py", 5)]
    assert find_definition(tmp_path, "nothing") == []


@pytest.fixture
def project(hands: Hands) -> Hands:
    hands.put("core.py", "def parse(text):\n    return text\n\n\ndef _private():\n    pass\n", read=False)
    hands.put("lonely.py", "def lonely():\n    pass\n", read=False)
    for number in range(5):
        hands.put(
            f"use{number}.py", f"from core import parse\n\n\ndef use{number}():\n    return parse('x')\n", read=False
        )
    return hands


def test_the_map_shows_what_is_referenced_most_first(project: Hands) -> None:
    entries = RepoMap(project.root).entries()
    assert entries[0].symbol.name == "parse"
    assert entries[0].path == "core.py"
    assert RepoMap(project.root).render(60) == "core.py:\n    1 def parse(text)"


def test_the_map_fits_its_size_and_is_the_same_every_time(project: Hands) -> None:
    for size in (0, 50, 100, 1_000):
        shown = RepoMap(project.root).render(size)
        assert len(shown) <= size
        assert shown == RepoMap(project.root).render(size)


def test_the_map_follows_changes_of_files(project: Hands) -> None:
    repo_map = RepoMap(project.root)
    assert "lonely" in repo_map.render(1_000)
    path = project.put("lonely.py", "def busy():\n    pass\n", read=False)
    os.utime(path, ns=(1, 1))
    (project.root / "use1.py").unlink()
    assert "lonely()" not in repo_map.render(1_000)
    assert "busy" in repo_map.render(1_000)
    assert "use1" not in repo_map.render(1_000)


def test_the_symbols_tool_outlines_a_file_and_filters_by_name(project: Hands) -> None:
    assert project.text("symbols", path="core.py") == "core.py:\n    1 def parse(text)\n    5 def _private()"
    assert project.text("symbols", query="lonel") == "lonely.py:\n    1 def lonely()"
    assert "No definition named qqq" in project.text("symbols", query="qqq")
    assert "does not exist" in project.refused("symbols", path="nowhere")
    project.put("notes.txt", "x", read=False)
    assert "without symbols" in project.refused("symbols", path="notes.txt")


def test_only_new_errors_of_a_change_are_reported() -> None:
    broken = "x = (1\n\n\ndef f():\n    return 1\n"
    assert check_change("a.py", broken, broken + "# more\n").problems == ()
    check = check_change("a.py", "x = 1\ny = 2\n", "x = 1\ny = = 2\n")
    assert check.refuse
    assert check.problems[0].line == 2
    assert check_change("a.txt", "x", "((((").problems == ()


def test_correct_code_of_newer_python_is_no_error() -> None:
    assert problems_in("f'{a['b']}'\ntype X = int\n", "python") == []


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("a.json", '{"a": 1}', '{"a": 1,,}'),
        ("a.toml", "a = 1\n", "a = = 1\n"),
        ("a.ts", "const a: number = 1;", "const a: = 1;"),
        ("a.js", "f(1)", "f(1"),
        ("a.go", "package a\n", "package a\nfunc f( {\n"),
        ("a.rs", "fn f() {}", "fn f() { let x = ; }"),
        ("A.java", "class A {}", "class A { int f( }"),
        ("a.rb", "def f\nend\n", "def f\n"),
    ],
)
def test_a_change_that_breaks_any_language_is_seen(name: str, before: str, after: str) -> None:
    assert check_change(name, before, before).problems == ()
    assert check_change(name, before, after).refuse


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["a.py", "a.js", "a.tsx", "a.go", "a.rs", "a.c", "a.cpp", "A.java", "a.rb", "a.sh", "a.html"]),
    content=st.binary(max_size=200) | st.text("({[]})\"'#\n\t \\defclass:;=", max_size=200).map(str.encode),
)
def test_no_content_breaks_the_parsers(name: str, content: bytes) -> None:
    for symbol in definitions(name, content):
        assert 1 <= symbol.start_line <= symbol.line <= symbol.end_line
    check_change(name, None, content.decode("latin-1"))


def test_a_shell_script_with_letters_beyond_ascii_keeps_its_lines() -> None:
    script = "# für später\ngrüße() {\n  echo 'äöü\u3000\x85'\n}\nende() { :; }\n"
    assert [(each.start_line, each.end_line) for each in definitions("a.sh", script.encode())] == [(2, 4), (5, 5)]
