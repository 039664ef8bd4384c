"""How much of past sessions is kept.

It deletes nothing; ``agent.store`` and ``agent.journal`` do.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """Sessions used within so many days, and the latest ones of so many bytes in all; None: no such limit."""

    days: float | None = None
    bytes: int | None = None
