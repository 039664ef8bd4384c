"""Bugs of every kind in real functions, and what mends them."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.bugs import KINDS, Bug, inject
from training.runner import Runner
from training.source_code import Code
from training.sources import LICENCES, MORE, Source, all_sources
from training.specimens import broken, functions, specimens

TEXT = '''\
"""Orders."""

import math
from decimal import Decimal


class Order:
    """What somebody buys."""

    def __init__(self, items, rate=0.5):
        self.items = list(items)
        self.rate = rate

    def total(self, first, last):
        """The price."""
        total = 0
        for item in self.items[first:last + 1]:
            if item is not None and item.price > 10:
                total += item.price * (1 - self.rate)
        if not self.items:
            return math.floor(total)
        return max(total, len(self.items), key=lambda each: f"{each} {total}")
'''


def code(name: str = "total") -> Code:
    owner = next(node for node in ast.parse(TEXT).body if isinstance(node, ast.ClassDef))
    function = next(node for node in owner.body if isinstance(node, ast.FunctionDef) and node.name == name)
    return Code(TEXT, function, owner)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "wrong_constant"])
def test_each_kind_has_bugs_that_their_repair_undoes(kind: str) -> None:
    found = list(inject(code(), kind, seed=1))
    assert found
    for bug in found:
        old, new = bug.repair()
        assert bug.text != TEXT
        assert bug.text.count(old) == 1
        assert bug.text.replace(old, new) == TEXT


def test_the_same_seed_gives_the_same_bugs() -> None:
    for kind in KINDS:
        assert list(inject(code(), kind, 7)) == list(inject(code(), kind, 7))


def test_a_line_that_stands_twice_is_told_by_the_lines_above_it() -> None:
    bug = Bug("off_by_one", "a = 1\nb = 2\na = 1\n", start=16, end=17, right="3")
    assert bug.line == 3
    assert bug.repair() == ("b = 2\na = 1", "b = 2\na = 3")


def test_texts_in_f_strings_are_left_alone() -> None:
    for kind in KINDS:
        assert all('f"{each} {total}"' in bug.text for bug in inject(code(), kind, 3) if kind != "missing_bracket")


def test_a_method_loses_self() -> None:
    assert any("def total(first, last)" in bug.text for bug in inject(code(), "missing_self", 0))


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as started:
        yield started


def source(name: str) -> Source:
    return Source("python", name, Path(sysconfig.get_path("stdlib")) / name)


def test_functions_of_a_real_file_are_called_and_their_bugs_are_seen(runner: Runner) -> None:
    found = list(specimens(source("colorsys.py"), runner, seed=0))
    assert found
    for specimen in found:
        results = runner.calls(specimen.text, "tried", [call for call, _ in specimen.examples])
        assert results == [result for _, result in specimen.examples]
    bugs = list(broken(found[0], runner, seed=0))
    assert 1 < len({bug.kind for bug in bugs}) == len(bugs) <= 4
    for bug in bugs:
        results = runner.calls(bug.text, "tried", [call for call, _ in found[0].examples])
        assert results != [result for _, result in found[0].examples]


def test_code_that_hangs_or_kills_its_process_gives_nothing(runner: Runner) -> None:
    assert runner.calls("def f():\n    import os\n    os._exit(3)\n", "m", ["f()"]) == [None]
    assert runner.calls("def f(:", "m", ["f()"]) == [None]
    assert runner.calls("def f():\n    return 5\n", "m", ["f()", "g()"]) == ["5", None]


def test_code_that_writes_into_its_pipes_does_not_end_the_runner(runner: Runner) -> None:
    noise = (
        "import os\n\n\ndef f():\n    for number in range(3, 64):\n        try:\n            os.write(number, b'x')\n"
    )
    noise += "        except OSError:\n            pass\n    os._exit(0)\n"
    assert runner.calls(noise, "m", ["f()"]) == []
    assert runner.calls("def f():\n    return 5\n", "m", ["f()"]) == ["5"]


def test_what_runs_there_writes_no_file(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "file"
    text = f"def f():\n    with open({str(path)!r}, 'w') as file:\n        file.write('x')\n    return 1\n"
    assert runner.calls(text, "m", ["f()"]) == [None]
    assert not path.exists() or not path.read_text()


def test_what_takes_long_gives_nothing(runner: Runner) -> None:
    assert runner.calls("def f():\n    while True:\n        pass\n", "m", ["f()"]) == []


def test_what_depends_on_the_folder_is_no_example(runner: Runner) -> None:
    text = "import os.path\n\n\ndef f(x):\n    return os.path.abspath(x)\n"
    assert runner.calls(text, "m", ["f('a')", "f('/a')"]) == [None, "'/a'"]


def test_functions_that_might_do_something_are_not_called(runner: Runner) -> None:
    names = {specimen.name for specimen in specimens(source("shutil.py"), runner, seed=0)}
    assert not names & {"rmtree", "move", "copyfile", "chown"}


def test_every_origin_has_a_permissive_licence_and_some_files_are_held_out() -> None:
    licences = [*LICENCES.values(), *MORE.values()]
    assert all(licence.split("-")[0] in ("PSF", "MIT", "BSD", "Apache", "ISC") for licence in licences)
    found = all_sources()
    share = sum(each.held_out for each in found) / len(found)
    assert 0.02 < share < 0.09
    assert {each.origin for each in found} <= set(LICENCES)


def test_functions_are_found_once_each() -> None:
    names = [each.function.name for each in functions(TEXT)]
    assert names == ["total"]
