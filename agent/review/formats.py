"""Findings as text, JSON, SARIF 2.1.0 and GitHub workflow commands.

It prints nothing and decides nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from agent.clean import clean
from agent.review.findings import Finding, Priority, fingerprints

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Priority.CRITICAL: "error", Priority.HIGH: "error", Priority.MEDIUM: "warning", Priority.LOW: "note"}
_RULES = {
    "likelihood": "The version before the change is likelier to be right than the one after it.",
    "conflict-marker": "A merge conflict is not resolved.",
    "syntax": "The change breaks the file's syntax.",
    "secret": "A secret is in the change.",
    "names": "A name is undefined, unused or defined twice, or a format does not fit its arguments.",
    "calls": "The arguments of a call do not match the definition that it calls.",
    "debug": "Something is left in that only helps while one works.",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a review came to. ``files`` were looked at; ``notes`` say what was not, and why, in sentences."""

    root: Path
    findings: tuple[Finding, ...]
    files: int
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One sentence."""
        if not self.files:
            return "Nothing was reviewed: 0 files with changes to look at."
        files = f"{self.files} file{'' if self.files == 1 else 's'} reviewed"
        if not self.findings:
            return f"{files}, nothing found."
        return f"{files}, {len(self.findings)} finding{'' if len(self.findings) == 1 else 's'}."

    @property
    def correct(self) -> bool:
        """Whether nothing of priority 0 or 1 was found."""
        return all(finding.priority > Priority.HIGH for finding in self.findings)


def as_text(report: Report) -> str:
    """One block for each finding, then notes and the summary; cleaned for a terminal."""
    parts: list[str] = []
    for each in report.findings:
        where = f"{each.path}:{each.start}"
        sure = f" ({each.confidence:.0%})" if each.confidence < 1 else ""
        code = "".join(f"\n    | {line}" for line in each.code.splitlines()[:6])
        parts.append(f"{where}: {each.headline}{sure}\n    {each.body}{code}")
    return clean("\n".join([*parts, *report.notes, report.summary]))


def as_json(report: Report) -> str:
    """The review's JSON object, on one line."""
    surest = max((finding.confidence for finding in report.findings), default=1.0)
    value = {
        "findings": [
            {
                "title": each.headline,
                "body": each.body,
                "confidence_score": round(each.confidence, 4),
                "priority": int(each.priority),
                "code_location": {
                    "absolute_file_path": str(report.root / each.path),
                    "line_range": {"start": each.start, "end": each.end},
                },
                "rule": each.rule,
                "fingerprint": mark,
            }
            for mark, each in zip(fingerprints(report.findings), report.findings, strict=True)
        ],
        "overall_correctness": "patch is correct" if report.correct else "patch is incorrect",
        "overall_explanation": report.summary,
        "overall_confidence_score": round(surest, 4),
        "files_reviewed": report.files,
        "notes": list(report.notes),
    }
    return _dumped(value)


def as_sarif(report: Report, version: str) -> str:
    """A SARIF log with one run."""
    used = sorted({finding.rule for finding in report.findings})
    results = [
        {
            "ruleId": each.rule,
            "ruleIndex": used.index(each.rule),
            "level": _LEVELS[each.priority],
            "message": {"text": f"{each.headline}. {each.body}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(os.fsencode(each.path)), "uriBaseId": "%SRCROOT%"},
                        "region": {"startLine": each.start, "endLine": each.end},
                    }
                }
            ],
            "partialFingerprints": {"agentReview/v1": mark},
            "rank": round(100 * each.confidence, 2),
            "properties": {"priority": int(each.priority), "confidence": round(each.confidence, 4)},
        }
        for mark, each in zip(fingerprints(report.findings), report.findings, strict=True)
    ]
    driver = {
        "name": "gemma-agent",
        "version": version,
        "rules": [{"id": rule, "shortDescription": {"text": _RULES.get(rule, rule)}} for rule in used],
    }
    notes = [{"level": "note", "message": {"text": note}} for note in (*report.notes, report.summary)]
    run: dict[str, object] = {
        "tool": {"driver": driver},
        "originalUriBaseIds": {"%SRCROOT%": {"uri": f"{report.root.as_uri()}/"}},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return _dumped({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


def _dumped(value: Mapping[str, object]) -> str:
    """JSON that can be written as UTF-8: names of files need not be text."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def as_github(report: Report) -> str:
    """Workflow commands that annotate the lines of a pull request; then the summary as a notice."""
    names = {"error": "error", "warning": "warning", "note": "notice"}
    lines = [
        f"::{names[_LEVELS[each.priority]]} file={_property(each.path)},line={each.start},endLine={each.end},"
        f"title={_property(each.headline)}::{_data(each.body)}"
        for each in report.findings
    ]
    return "\n".join([*lines, f"::notice title=agent review::{_data(' '.join([*report.notes, report.summary]))}"])


def _data(text: str) -> str:
    return clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def listed(findings: Sequence[Finding], limit: int | None) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """The first ``limit`` findings, and a note when others were left out."""
    if limit is None or len(findings) <= limit:
        return tuple(findings), ()
    left = len(findings) - limit
    return tuple(findings[:limit]), (f"{left} more finding{'' if left == 1 else 's'} left out (--max-findings).",)
