"""``agent doctor``: what runs on this machine, what does not, and what to do about it.

It collects and prints; what is looked at is in ``agent.doctor_checks``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from agent.clean import clean

if TYPE_CHECKING:
    from agent.doctor_checks import Finding
    from agent.models.fetch import ModelOptions

EXIT_USABLE, EXIT_NOT_USABLE = 0, 2


def run_doctor(args: argparse.Namespace) -> int:
    """Examine this machine and print a table, or one JSON object; 0 when the program can run here, 2 when not."""
    from agent.models.fetch import ModelOptions

    findings = examine(ModelOptions(offline=getattr(args, "offline", False)))
    usable = is_usable(findings)
    if getattr(args, "json", False):
        print(json.dumps({"usable": usable, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        print(clean(table(findings, shutil.get_terminal_size((100, 24)).columns)))
    if not usable:
        print("The program cannot run here yet; see what is marked bad.", file=sys.stderr)
    return EXIT_USABLE if usable else EXIT_NOT_USABLE


def examine(options: ModelOptions) -> list[Finding]:
    """All findings, in the order of what is needed first."""
    from agent import doctor_checks as checks
    from agent.models.build import probe_build

    build = probe_build()
    options = replace(options, gpu=build.gpu)
    return [
        checks.python(),
        *checks.llama(build),
        *checks.kernels(build),
        checks.memory(options),
        *checks.models(options),
        *checks.engines(),
        checks.disk(options),
        checks.hub(options),
        *checks.programs(),
        checks.sandbox(),
        checks.terminal(),
        checks.configuration(),
    ]


def is_usable(findings: list[Finding]) -> bool:
    """Whether nothing is missing that the program cannot do without."""
    from agent.doctor_checks import Status

    return all(finding.status is not Status.BAD for finding in findings)


def table(findings: list[Finding], width: int) -> str:
    """Three columns: what, how it is, what was found; advice stands on its own lines below."""
    first = max(len(finding.what) for finding in findings)
    second = max(len(finding.status) for finding in findings)
    indent = " " * (first + second + 4)
    lines: list[str] = []
    for finding in findings:
        head = f"{finding.what:<{first}}  {finding.status:<{second}}  "
        lines += _wrapped(finding.found, head, indent, width)
        if finding.advice:
            lines += _wrapped(finding.advice, f"{indent}-> ", f"{indent}   ", width)
    return "\n".join(lines)


def _wrapped(text: str, head: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, len(indent) + 20),
        initial_indent=head,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
