"""What people said need not be reported again: a baseline file, and comments beside the code.

The baseline is JSON: ``{"version": 1, "accepted": {fingerprint: headline}}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import UsageError
from agent.review.findings import Finding, fingerprints

IGNORE = re.compile(r"agent:\s*ignore(?:\[(?P<rules>[\w, -]+)\])?", re.IGNORECASE)


class Baseline(BaseModel):
    """The file's content."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=1)] = 1
    accepted: dict[str, str] = Field(default_factory=dict)


def read_baseline(path: Path) -> Baseline:
    """The baseline; empty where there is no such file. Raises UsageError for a damaged one."""
    try:
        return Baseline.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Baseline()
    except OSError as error:
        raise UsageError(f"The baseline {path} cannot be read: {error.strerror}.") from error
    except (ValidationError, ValueError) as error:
        raise UsageError(f"{path} is not a baseline of accepted findings; remove it, or write it anew.") from error


def write_baseline(path: Path, findings: Sequence[Finding]) -> None:
    """Accept all of ``findings`` and what was accepted before; raises UsageError."""
    baseline = read_baseline(path)
    accepted = {mark: each.headline for mark, each in zip(fingerprints(findings), findings, strict=True)}
    text = json.dumps({"version": 1, "accepted": dict(sorted({**baseline.accepted, **accepted}.items()))}, indent=2)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The baseline {path} cannot be written: {error.strerror}.") from error


def not_accepted(findings: Sequence[Finding], baseline: Baseline) -> list[Finding]:
    """The findings that the baseline does not hold."""
    marked = zip(fingerprints(findings), findings, strict=True)
    return [finding for mark, finding in marked if mark not in baseline.accepted]


def is_ignored(finding: Finding, lines: Sequence[str]) -> bool:
    """Whether a comment ``agent: ignore`` or ``agent: ignore[rule]`` stands on one of its lines or on the one above."""
    for number in range(max(1, finding.start - 1), min(finding.end, len(lines)) + 1):
        found = IGNORE.search(lines[number - 1])
        if found is None:
            continue
        rules = found["rules"]
        if rules is None or finding.rule in {rule.strip() for rule in rules.split(",")}:
            return True
    return False
