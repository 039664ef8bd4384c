"""Terminal output as the text that a person would be left with: no colours, overwritten progress or repeated lines.

It is for the model's eyes and costs no tokens for what says nothing; making text safe to print is the screen's matter.
"""

from __future__ import annotations

import itertools
import re

_MAX_EQUAL = 3  # equal lines in a row that are shown as they are

_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def plain(text: str) -> str:
    """The text without control sequences; of a line overwritten by carriage returns only the last state, of many equal
    lines in a row only one and their number.
    """
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n"))
    if "\r" in text:
        text = "\n".join(_last_state(line) for line in text.split("\n"))
    text = _CONTROLS.sub("", text)
    return "\n".join(
        shown for line, run in itertools.groupby(text.split("\n")) for shown in _folded(line, len(list(run)))
    )


def _folded(line: str, count: int) -> list[str]:
    return [line] * count if count <= _MAX_EQUAL else [line, f"... {count - 1} more lines like this ..."]


def _last_state(line: str) -> str:
    states = [state for state in line.split("\r") if state.strip()]
    return states[-1] if states else ""
