"""Makes the controller of a loaded model, with what earlier starts on this machine learned about both.

It knows which drafters every model can have; those that need a file of their own are given to it.
"""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import cast

from inference.acceptance import Acceptance
from inference.backend import Backend, BackendInfo
from inference.controller import Controller, Knowledge
from inference.draft_costs import DraftCosts
from inference.drafters import Drafter
from inference.drafters.copy import CopyDrafter
from inference.drafters.forced import ForcedDrafter
from inference.hardware import physical_cores
from inference.step_costs import StepCosts

_VERSION = 1


def make_controller(backend: Backend, folder: Path | None, predictors: Sequence[Drafter] = ()) -> Controller:
    """A controller for ``backend``, whose memory must be empty: what its decodes cost is probed where it is not known.

    ``folder`` holds one small file a model and machine; None: nothing is kept. ``predictors`` are the drafters that
    compute their tokens; they must exist already, because making one may clear the memory.
    """
    path = folder / f"{_name(backend.info)}.json" if folder else None
    knowledge = read_knowledge(path)
    knowledge.steps.probe(backend)

    def keep(learned: Knowledge) -> None:
        if path:
            write_knowledge(path, learned)

    return Controller(knowledge, (ForcedDrafter(), CopyDrafter()), predictors, keep)


def read_knowledge(path: Path | None) -> Knowledge:
    """What was kept; a new start where there is nothing, or nothing that can be read."""
    try:
        kept = _mapping(json.loads(path.read_text("utf-8") if path else "{}"))
        if kept.get("version") != _VERSION:
            return Knowledge(StepCosts())
        return Knowledge(
            StepCosts({int(rows): _number(ms) for rows, ms in _mapping(kept["step_ms"]).items()}),
            Acceptance.load({key: _pair(value) for key, value in _mapping(kept["acceptance"]).items()}),
            DraftCosts.load({name: _pair(value) for name, value in _mapping(kept["draft_ms"]).items()}),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Knowledge(StepCosts())


def write_knowledge(path: Path, knowledge: Knowledge) -> None:
    """Replace the file at once; where it cannot be written, the next start measures again."""
    data = {
        "version": _VERSION,
        "step_ms": {str(rows): round(ms, 3) for rows, ms in knowledge.steps.measured().items()},
        "acceptance": knowledge.acceptance.dump(),
        "draft_ms": knowledge.drafting.dump(),
    }
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, separators=(",", ":"))
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError
    return cast("Mapping[str, object]", value)


def _number(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _pair(value: object) -> tuple[float, float]:
    if not isinstance(value, list):
        raise TypeError
    first, second = cast("list[object]", value)
    return _number(first), _number(second)


def _name(info: BackendInfo) -> str:
    """Tells models and machines apart: home folders are shared between machines."""
    model = (info.model_name, info.architecture, info.model_bytes, info.n_vocab)
    machine = (platform.node(), platform.machine(), platform.processor(), physical_cores())
    return sha256(repr((model, machine)).encode()).hexdigest()[:24]
