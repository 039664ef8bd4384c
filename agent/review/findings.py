"""A finding, how grave it is, and by what it is known again; values only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Priority(IntEnum):
    """How grave a finding is: 0 must not be committed, 3 is a remark."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem that a change brings in.

    Lines ``start``..``end`` count from 1 in the new file and lie inside the change. ``confidence`` is 0.0 to 1.0, and
    1.0 for what a check without a model found. ``rule`` names what found it; ``code`` is the text of these lines.
    """

    path: str
    start: int
    end: int
    priority: Priority
    title: str
    body: str
    confidence: float
    rule: str
    code: str = ""

    @property
    def headline(self) -> str:
        """The title as reports show it: ``[P1] ...``, at most 80 characters."""
        text = f"[P{int(self.priority)}] {' '.join(self.title.split())}"
        return text if len(text) <= 80 else text[:79].rstrip() + "…"


def fingerprint(finding: Finding) -> str:
    """The same for the same problem wherever the lines have moved to: by path, rule and code without its spaces."""
    code = "\n".join(" ".join(line.split()) for line in finding.code.splitlines() if line.strip())
    return hashlib.sha256(f"{finding.path}\0{finding.rule}\0{code}".encode("utf-8", "replace")).hexdigest()[:32]


def fingerprints(findings: Sequence[Finding]) -> list[str]:
    """A fingerprint for each finding; the second of the same code gets ``:2`` and so on."""
    seen: dict[str, int] = {}
    marked: list[str] = []
    for finding in findings:
        mark = fingerprint(finding)
        seen[mark] = seen.get(mark, 0) + 1
        marked.append(mark if seen[mark] == 1 else f"{mark}:{seen[mark]}")
    return marked


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """The gravest first, then the surest, then by place."""
    return sorted(findings, key=lambda each: (each.priority, -each.confidence, each.path, each.start))


def grave(findings: Sequence[Finding], threshold: str) -> bool:
    """Whether one is at least as grave as ``threshold``: a priority's name in small letters, or ``never``."""
    return threshold != "never" and any(finding.priority <= Priority[threshold.upper()] for finding in findings)
