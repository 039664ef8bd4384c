"""Which small changes are worth a try, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agent.evidence import Evidence, Sources, gather
from agent.failures import read_test_run
from agent.small_changes import SmallChange, likely_changes, missing_returns, misspellings, says_what_is_wrong
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
    assert says_what_is_wrong(evidence, sources)
    said = "AttributeError: 'Product' object has no attribute 'need_reorder'"
    unknown = OUTPUT.replace(said, "NameError: name 'OrderedDict' is not defined")
    assert not says_what_is_wrong(gather(read_test_run("pytest", 1, unknown, 0.1), sources), sources)


def test_a_misspelt_name_is_put_right_where_it_was_raised_without_a_model(tmp_path: Path) -> None:
    _, evidence = ranked(tmp_path, Reader())
    sources = Sources(tmp_path, is_test_path)
    (words, edit), *others = misspellings(evidence, sources)
    assert words == "needs_reorder instead of need_reorder"
    assert REPORT.replace(edit.old, edit.new) == REPORT.replace("need_reorder", "needs_reorder")
    assert len(others) < 2
    said = "AttributeError: 'Product' object has no attribute 'need_reorder'"
    other = OUTPUT.replace(said, "AttributeError: 'Product' object has no attribute 'save'")
    assert misspellings(gather(read_test_run("pytest", 1, other, 0.1), sources), sources) == []


def test_a_result_that_is_computed_and_not_returned_is_returned_where_none_was_found(tmp_path: Path) -> None:
    code = "def low(numbers):\n    if not numbers:\n        return 0\n    best = min(numbers)\n    best + 1\n"
    (tmp_path / "low.py").write_text(code)
    (tmp_path / "test_low.py").write_text("from low import low\n\n\ndef test_low():\n    assert low([1]) == 2\n")
    sources = Sources(tmp_path, is_test_path)

    def returned(reason: str) -> list[str]:
        output = f"___ test_low ___\n\n>   assert low([1]) == 2\nE   {reason}\n\ntest_low.py:5: AssertionError\n"
        edits = missing_returns(gather(read_test_run("pytest", 1, output, 0.1), sources), sources)
        return [code.replace(edit.old, edit.new) for edit in edits]

    assert returned("assert None == 2") == [code.replace("best + 1", "return best + 1")]
    assert returned("assert 1 == 2") == []


def test_a_method_without_self_is_named_by_the_failure(tmp_path: Path) -> None:
    said = "AttributeError: 'Product' object has no attribute 'need_reorder'"
    text = MODELS.replace("(self)", "()")
    selfless = OUTPUT.replace(said, "TypeError: Product.needs_reorder() takes 0 positional arguments but 1 was given")
    for name, content in (
        ("models.py", text),
        ("report.py", REPORT.replace("need_", "needs_")),
        ("test_report.py", TEST),
    ):
        (tmp_path / name).write_text(content)
    sources = Sources(tmp_path, is_test_path)
    evidence = gather(read_test_run("pytest", 1, selfless, 0.1), sources)
    assert says_what_is_wrong(evidence, sources)
    changes = asyncio.run(likely_changes(evidence, sources, Reader().prefer))
    assert changes[0].kind == "add self"
    made = [sources.text(each.edit.path).replace(each.edit.old, each.edit.new) for each in changes]
    assert len(set(made)) == len(made), "a change of a method is not tried once more as one of its class"
    other = selfless.replace("but 1 was given", "but 3 were given")
    assert not says_what_is_wrong(gather(read_test_run("pytest", 1, other, 0.1), sources), sources)


def test_where_an_assertion_is_wrong_by_one_changes_of_counting_come_first(tmp_path: Path) -> None:
    loop = "    for number, line in enumerate(lines):\n        pass\n    return number\n"
    code = f"def last(lines):\n    if not lines:\n        return None\n{loop}"
    test = "from count import last\n\n\ndef test_last():\n    assert last('ab') == 2\n"
    failed = "___ test_last ___\n\n>   assert last('ab') == 2\nE   assert {} == 2\n\ntest_count.py:5: AssertionError\n"
    (tmp_path / "count.py").write_text(code)
    (tmp_path / "test_count.py").write_text(test)
    sources = Sources(tmp_path, is_test_path)

    def kinds(found: int) -> list[str]:
        evidence = gather(read_test_run("pytest", 1, failed.format(found), 0.1), sources)
        return [each.kind for each in asyncio.run(likely_changes(evidence, sources, Reader().prefer))]

    counting = {"count from one", "by one"}
    assert set(kinds(1)[:3]) == counting
    assert kinds(7)[0] not in counting
