"""Which small changes are worth a try, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agent.evidence import Evidence, Sources, gather
from agent.failures import read_test_run
from agent.small_changes import SmallChange, likely_changes, names_a_misspelling
from agent.test_paths import is_test_path

MODELS = "class Product:\n    def needs_reorder(self):\n        return self.quantity <= self.level\n"
REPORT = """\
from models import Product

LIMIT = 3


def low(products: list[Product]):
    found = [product for product in products if product.need_reorder()]
    return found[:LIMIT]


def other():
    return 1
"""
TEST = "from report import low\nfrom models import Product\n\n\ndef test_low():\n    assert low([Product()]) == []\n"
OUTPUT = """\
=================================== FAILURES ===================================
___________________________________ test_low ___________________________________

    def test_low():
>       assert low([Product()]) == []

test_report.py:6:
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _

>   found = [product for product in products if product.need_reorder()]
E   AttributeError: 'Product' object has no attribute 'need_reorder'

report.py:7: AttributeError
=========================== short test summary info ============================
FAILED test_report.py::test_low - AttributeError: 'Product' object has no attribute 'need_reorder'
1 failed in 0.01s
"""


class Reader:
    """A model that finds every variant as likely as what stands there."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def prefer(self, prefix: str, base: str, variants: Sequence[str]) -> list[float]:
        self.asked.append((prefix, base))
        return [0.0 for _ in variants]


def ranked(root: Path, reader: Reader) -> tuple[list[SmallChange], Evidence]:
    for name, text in (("models.py", MODELS), ("report.py", REPORT), ("test_report.py", TEST)):
        (root / name).write_text(text)
    sources = Sources(root, is_test_path)
    evidence = gather(read_test_run("pytest", 1, OUTPUT, 0.1), sources)
    return asyncio.run(likely_changes(evidence, sources, reader.prefer)), evidence


def test_a_name_that_the_failure_calls_wrong_comes_first_where_it_was_raised(tmp_path: Path) -> None:
    changes, _ = ranked(tmp_path, Reader())
    assert changes[0].edit.path == "report.py"
    assert "product.needs_reorder()" in changes[0].edit.new
    assert changes[0].line == 7


def test_the_model_reads_what_stands_above_but_no_other_definition(tmp_path: Path) -> None:
    reader = Reader()
    ranked(tmp_path, reader)
    prefix, base = next((prefix, base) for prefix, base in reader.asked if base.startswith("def low"))
    assert prefix == "# report.py\nfrom models import Product\n\nLIMIT = 3\n\n\n"
    assert "def other" not in prefix + base


def test_every_change_is_an_edit_of_a_text_that_stands_once_and_leaves_the_syntax_right(tmp_path: Path) -> None:
    changes, _ = ranked(tmp_path, Reader())
    assert changes
    for change in changes:
        source = (tmp_path / change.edit.path).read_text()
        assert source.count(change.edit.old) == 1
        compile(source.replace(change.edit.old, change.edit.new), change.edit.path, "exec")


def test_what_is_much_less_likely_than_the_present_code_is_not_tried(tmp_path: Path) -> None:
    class Satisfied(Reader):
        async def prefer(self, prefix: str, base: str, variants: Sequence[str]) -> list[float]:
            return [-20.0 for _ in variants]

    changes, _ = ranked(tmp_path, Satisfied())
    assert changes == []


def test_a_misspelling_has_a_name_that_is_written_like_it_and_a_missing_import_has_none(tmp_path: Path) -> None:
    _, evidence = ranked(tmp_path, Reader())
    sources = Sources(tmp_path, is_test_path)
    assert names_a_misspelling(evidence, sources)
    said = "AttributeError: 'Product' object has no attribute 'need_reorder'"
    unknown = OUTPUT.replace(said, "NameError: name 'OrderedDict' is not defined")
    assert not names_a_misspelling(gather(read_test_run("pytest", 1, unknown, 0.1), sources), sources)
