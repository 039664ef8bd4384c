"""How every measurement is printed; it measures nothing."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "==": operator.eq,
}


def report(claim: str, value: float, unit: str, bar: str | None = None) -> bool:
    """Print one JSON line; ``bar`` is a comparison such as ``"<= 2"``. Whether it holds; True without a bar."""
    holds: bool | None = None
    if bar is not None:
        sign, limit = bar.split()
        holds = _COMPARISONS[sign](value, float(limit))
    print(json.dumps({"claim": claim, "value": round(value, 4), "unit": unit, "bar": bar, "holds": holds}), flush=True)
    return holds is not False
