"""What an engine depends on, and where it is to run: values that are settled before any engine is made.

They compute nothing, and travel to an engine's own process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

WANTED_CONTEXT = 32_768  # tokens, unless asked for more or less; memory may allow less


class EngineSettings(BaseModel):
    """Everything that an engine depends on; programs with equal settings share one.

    ``drafter`` runs beside the model where both fit. ``context`` is the wanted number of tokens, None for what fits (up
    to WANTED_CONTEXT); ``kv_type`` how the KV cache holds its numbers; ``state`` the folder for what engines keep,
    ``kv_disk`` how many MiB of it the states of conversations may take (0: they are not kept).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    drafter: Path | None = None
    context: int | None = None
    kv_type: Literal["f16", "q8_0"] = "f16"
    state: Path
    kv_disk: int = 0


class EnginePlace(BaseModel):
    """``in_process``: here and not in the shared host, which waits for its next client for ``idle_seconds``."""

    model_config = ConfigDict(frozen=True)

    in_process: bool = False
    idle_seconds: float = 900.0
