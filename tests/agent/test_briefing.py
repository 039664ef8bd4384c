"""Evidence becomes a short text that holds what matters."""

from __future__ import annotations

from pathlib import Path

from agent.briefing import brief, code_without, what_happened
from agent.demo_files import FILES
from agent.evidence import Evidence, Sources, gather
from agent.failures import read_test_run
from agent.lead_in import head_lines
from agent.test_paths import is_test_path

OUTPUT = """\
F
=================================== FAILURES ===================================
___________________ PricingTest.test_ten_pieces_get_discount ___________________

    def test_ten_pieces_get_the_bulk_discount(self):
>       self.assertEqual(line_total(Line("pen", 200, 10)), 1800)
E       AssertionError: 2000 != 1800

tests/test_pricing.py:11: AssertionError
=========================== short test summary info ============================
FAILED tests/test_pricing.py::PricingTest::test_ten_pieces_get_discount
1 failed in 0.10s
"""


def evidence(root: Path) -> tuple[Evidence, Sources]:
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sources = Sources(root, is_test_path)
    return gather(read_test_run("pytest -q", 1, OUTPUT, 0.1), sources), sources


def words(text: str) -> int:
    return len(text) // 4


def test_the_likeliest_code_is_shown_whatever_it_costs_and_more_where_there_is_room(tmp_path: Path) -> None:
    found, sources = evidence(tmp_path)
    tight = brief(found, sources, words, 10)
    assert [suspect.name for suspect in tight.shown] == ["line_total"]
    assert "if line.quantity > BULK_QUANTITY" in tight.code
    assert "2000 != 1800" in tight.failures
    roomy = brief(found, sources, words, 2000)
    assert {suspect.name for suspect in tight.shown} < {suspect.name for suspect in roomy.shown}
    assert words(roomy.failures + roomy.code) <= 2000


def test_constants_above_the_code_are_shown(tmp_path: Path) -> None:
    found, sources = evidence(tmp_path)
    assert "BULK_QUANTITY = 10" in brief(found, sources, words, 10).code


def test_a_body_can_be_left_out_while_its_head_stays(tmp_path: Path) -> None:
    found, sources = evidence(tmp_path)
    briefing = brief(found, sources, words, 1000)
    code = code_without(briefing.shown[0], briefing.shown, sources, head_lines(briefing.shown[0], sources))
    assert "def line_total(line: Line) -> int:" in code
    assert "ten pieces or more get the bulk discount" in code
    assert "line.quantity > BULK_QUANTITY" not in code


def test_of_a_long_comparison_the_beginning_is_kept() -> None:
    text = "\n".join(["    check(f)", ">   assert f() == g()", "E   AssertionError: one != two", *["E   - more"] * 40])
    shown = what_happened(text)
    assert "one != two" in shown
    assert len(shown.splitlines()) < 20


def test_addresses_that_change_from_run_to_run_are_left_out() -> None:
    assert "0x7f" not in what_happened("E   where <function check at 0x7f3a5c21b8a0> = f")
    assert "0xff00" in what_happened("E   assert 0xff00 == 3"), "a short number may be what the test is about"


def test_a_second_failure_is_only_counted_where_it_would_crowd_out_the_code(tmp_path: Path) -> None:
    _, sources = evidence(tmp_path)
    second = OUTPUT.replace("2000 != 1800", "'100.00' != '90.00'").replace("test_ten_pieces", "test_a_receipt")
    two = gather(read_test_run("pytest -q", 1, OUTPUT.split("====== short")[0] + second, 0.1), sources)
    assert "(1 more failing test.)" in brief(two, sources, words, 60).failures
    roomy = brief(two, sources, words, 4000).failures
    assert "2000 != 1800" in roomy
    assert "'100.00' != '90.00'" in roomy
