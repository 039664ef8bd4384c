"""What the argument models of all tools share: leniency towards the slips of small models, and plain JSON schemas.

Each tool's own arguments stand in its file.
"""

from __future__ import annotations

import json
from typing import cast

from pydantic import BaseModel, ConfigDict


class Arguments(BaseModel):
    """Base of the argument models: unknown arguments are dropped, numbers are taken for text where text is wanted.

    Some arguments have other names as well, which models trained on other agents use. Those that a permission is
    decided by (``command``, and ``path`` of what writes) have one name only, so that nothing slips by under another.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True, populate_by_name=True)


def mapping(value: object) -> dict[str, object] | None:
    """``value`` when it is a JSON object, also one that came as a string; else None."""
    value = from_json(value)
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def items(value: object) -> list[object] | None:
    """``value`` as a list when it is an array, also one that came as a string; a lone object becomes a list of one."""
    value = from_json(value)
    if isinstance(value, dict):
        return [cast("object", value)]
    return cast("list[object]", value) if isinstance(value, list) else None


def from_json(value: object) -> object:
    """A string that holds a JSON object or array as that; everything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(value, strict=False)
        except (ValueError, RecursionError):
            return value
    return value
