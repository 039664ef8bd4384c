"""What a repository's AGENTS.md says about reviews: the sections with "review" in their heading.

Only a model that words findings reads them.
"""

from __future__ import annotations

import re

from agent.context import find_instructions
from agent.setup import Setup

_HEADING = re.compile(r"^(#+)\s+(.*)$")
_MOST = 1_500  # characters


def review_rules(setup: Setup) -> str:
    """The sections' text, bounded; empty where there is none, or instructions do not count (``--bare``)."""
    if setup.bare:
        return ""
    sections = [_sections(each.text) for each in find_instructions(setup.cwd)]
    return "\n".join(each for each in sections if each)[:_MOST]


def _sections(text: str) -> str:
    kept: list[str] = []
    depth = 0  # of the heading whose section is being kept
    for line in text.splitlines():
        heading = _HEADING.match(line)
        if heading is not None and (not depth or len(heading[1]) <= depth):
            depth = len(heading[1]) if "review" in heading[2].lower() else 0
            continue
        if depth:
            kept.append(line)
    return "\n".join(kept).strip()
