"""Builds the engine that runs a model's files; beside ``agent.assembly`` the only module that names concrete classes.

It loads nothing before the engine is started.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent.models.verify import identity
from inference.backend import Backend
from inference.backend.llama_cpp import LlamaCppBackend
from inference.errors import ModelLoadError, NotEnoughMemory
from inference.gguf_header import GgufHeader, read_header
from inference.in_process import EngineOptions, InProcessEngine, LoadProgress
from inference.kv_store import StoreOptions
from inference.memory import CONTEXT_STEP, MIB, available_bytes, fit_context
from inference.speculation import make_controller

WANTED_CONTEXT = 32_768  # tokens, unless asked for more or less; memory may allow less


class EngineSettings(BaseModel):
    """Everything that an engine depends on; programs with equal settings can share one.

    ``context`` is the wanted number of tokens, None for what fits (up to WANTED_CONTEXT); ``state`` the folder for what
    engines keep, ``kv_disk`` how many MiB of it the states of conversations may take (0: they are not kept).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    context: int | None = None
    state: Path
    kv_disk: int = 0


def local_engine(settings: EngineSettings, on_load: LoadProgress) -> InProcessEngine:
    """An engine in this process; its ``start`` raises ModelLoadError or NotEnoughMemory."""
    return InProcessEngine(lambda progress: _load(settings, progress), _options(settings), on_load)


def _options(settings: EngineSettings) -> EngineOptions:
    store = None
    if settings.kv_disk:
        store = StoreOptions(settings.state / "kv", identity(settings.model), settings.kv_disk * MIB)
    return EngineOptions(planner=lambda backend: make_controller(backend, settings.state / "speculation"), store=store)


def _load(settings: EngineSettings, progress: LoadProgress) -> Backend:
    header, size = read_header(settings.model), settings.model.stat().st_size
    n_ctx = _context_tokens(settings, header, size)
    return LlamaCppBackend.load(settings.model, n_ctx=n_ctx, progress=progress)


def _context_tokens(settings: EngineSettings, header: GgufHeader, size: int) -> int:
    wanted, available = settings.context, available_bytes()
    if wanted is None:
        return fit_context(header, size, available, WANTED_CONTEXT)
    name = header.name or settings.model.name
    if header.context_length and wanted > header.context_length:
        raise ModelLoadError(
            f"{name} can read {header.context_length:,} tokens at most; --context {wanted} is too large."
        )
    fits = fit_context(header, size, available, wanted)
    if fits < min(wanted, header.context_length or wanted) - CONTEXT_STEP:
        raise NotEnoughMemory(
            f"A context of {wanted:,} tokens does not fit into the free memory; {fits:,} would (--context {fits})."
        )
    return fits
