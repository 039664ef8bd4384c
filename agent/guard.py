"""Notices when the model repeats itself: the same call over and over, or the same short cycle of calls and results.

It stops nothing; ``agent.loop`` does.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence

from agent.messages import ToolCall

WARN_AT = 3
STOP_AT = 5
_LONGEST_CYCLE = 3


class RepetitionGuard:
    """Counts repeated calls within one run."""

    def __init__(self) -> None:
        self._calls: deque[str] = deque(maxlen=STOP_AT * _LONGEST_CYCLE)
        self._steps: deque[tuple[str, str]] = deque(maxlen=STOP_AT * _LONGEST_CYCLE)

    def count(self, call: ToolCall, result: str) -> int:
        """How often this call came in a row by now; a cycle of two or three calls counts only with equal results.

        (A test run between edits prints something else each time; that is work, not a loop.)
        """
        written = json.dumps([call.name, dict(call.arguments), call.error], sort_keys=True, default=str)
        self._calls.append(written)
        self._steps.append((written, result))
        cycles = (_repeats(list(self._steps), period) for period in range(2, _LONGEST_CYCLE + 1))
        return max(_repeats(list(self._calls), 1), *cycles)


def _repeats(items: Sequence[object], period: int) -> int:
    """How many times the last ``period`` items stand in a row at the end."""
    tail, count = items[-period:], 0
    while len(items) >= period and items[-period:] == tail:
        count += 1
        items = items[:-period]
    return count
