"""Answers begin, and end, where it serves best."""

from __future__ import annotations

from pathlib import Path

from agent.attempts import Attempt, Shape
from agent.evidence import Sources, Suspect
from agent.lead_in import body_lines, frame, head_of
from agent.proposal import propose

SOURCE = '''\
import math


class Circle:
    @property
    def area(self):
        """The area."""
        # in square units
        radius = self.radius

        return math.pi * radius


def one(): return 1
'''


def suspect(root: Path, name: str) -> tuple[Suspect, Sources]:
    (root / "m.py").write_text(SOURCE)
    sources = Sources(root, lambda _: False)
    symbol = next(each for each in sources.symbols("m.py") if each.name == name)
    return Suspect("m.py", symbol, symbol.line, 1), sources


def test_the_head_is_everything_above_the_first_statement(tmp_path: Path) -> None:
    assert head_of(*suspect(tmp_path, "area")).splitlines()[-1].strip() == '"""The area."""'
    assert head_of(*suspect(tmp_path, "area")).splitlines()[0].strip() == "@property"


def test_body_lines_are_statements_only(tmp_path: Path) -> None:
    assert body_lines(*suspect(tmp_path, "area")) == [4, 6]
    assert body_lines(*suspect(tmp_path, "one")) == []


def test_one_line_anew_keeps_all_others(tmp_path: Path) -> None:
    found, sources = suspect(tmp_path, "area")
    around = frame(Attempt("", 0.0, Shape.LINE, line=1), found, sources)
    assert around.prefix.endswith("radius = self.radius\n\n")
    answer = around.prefix + "        return math.pi * radius**2" + around.rest
    edits = propose(answer, {"m.py": SOURCE})
    assert len(edits) == 1
    assert SOURCE.replace(edits[0].old, edits[0].new) == SOURCE.replace("* radius\n", "* radius**2\n")


def test_a_body_answer_begins_behind_the_head_and_ends_with_its_fence(tmp_path: Path) -> None:
    around = frame(Attempt("", 0.0, Shape.BODY), *suspect(tmp_path, "area"))
    assert around.prefix.startswith("```python\n")
    assert around.prefix.endswith('"""The area."""\n')
    assert (around.stop, around.rest) == (("\n```",), "")
