"""Builds the engine that runs a model's files in this process; its modules are the native ones.

It loads nothing before the engine is started. Who wants an engine asks ``agent.engines``, which imports this when it
has to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from agent.engine_settings import WANTED_CONTEXT, EngineSettings
from agent.models.verify import identity
from inference.backend import Backend
from inference.backend.llama_cpp import LlamaCppBackend
from inference.drafters.load import load_drafter
from inference.errors import ModelLoadError, NotEnoughMemory
from inference.gguf_header import read_header
from inference.in_process import EngineOptions, InProcessEngine, LoadProgress
from inference.kv_store import StoreOptions
from inference.memory import CONTEXT_STEP, MIB, DrafterFootprint, Footprint, available_bytes, fit_context, fit_sequences
from inference.planner import Planner
from inference.speculation import make_controller

_ABUNDANCE = 1 << 60  # bytes that everything fits into


@dataclass(frozen=True, slots=True)
class Fit:
    """What fits into memory: a context of ``n_ctx`` tokens, and the drafter or none."""

    n_ctx: int
    drafter: Path | None


def _nothing() -> None:
    """There is nobody to make room."""


def local_engine(
    settings: EngineSettings, on_load: LoadProgress, make_room: Callable[[], None] = _nothing
) -> InProcessEngine:
    """An engine in this process; its ``start`` raises ModelLoadError or NotEnoughMemory.

    ``make_room`` is called, in the engine's thread, when more memory would make for a larger context or a drafter.
    """
    loading = _Loading(settings, make_room)
    store = None
    if settings.kv_disk:
        store = StoreOptions(settings.state / "kv", identity(settings.model), settings.kv_disk * MIB)
    return InProcessEngine(loading.backend, EngineOptions(planner=loading.planner, store=store), on_load)


def fit(settings: EngineSettings, available: int) -> Fit:
    """What fits into ``available`` bytes; the drafter is left out where only the model does.

    Raises NotEnoughMemory, or ModelLoadError for a context that the model was not made for.
    """
    return _fit(settings, _footprint(settings), available)


def _footprint(settings: EngineSettings) -> Footprint:
    """The model alone."""
    return Footprint(read_header(settings.model), settings.model.stat().st_size, settings.kv_type)


def _fit(settings: EngineSettings, model: Footprint, available: int) -> Fit:
    if settings.drafter is not None:
        drafter = DrafterFootprint(read_header(settings.drafter), settings.drafter.stat().st_size)
        try:
            return Fit(_context_tokens(settings, replace(model, drafter=drafter), available), settings.drafter)
        except NotEnoughMemory:
            pass
    return Fit(_context_tokens(settings, model, available), None)


class _Loading:
    """Loads the model, and then what drafts beside it; in the engine's thread."""

    def __init__(self, settings: EngineSettings, make_room: Callable[[], None]) -> None:
        self._settings = settings
        self._make_room = make_room
        self._drafter: Path | None = None

    def backend(self, progress: LoadProgress) -> Backend:
        settings = self._settings
        model = _footprint(settings)
        if not _roomy(settings, model, available_bytes()):
            self._make_room()
        found = _fit(settings, model, available_bytes())
        self._drafter = found.drafter
        return LlamaCppBackend.load(
            settings.model,
            n_ctx=found.n_ctx,
            n_sequences=_sequences(model, found),
            unified=True,
            kv_type=settings.kv_type,
            progress=progress,
        )

    def planner(self, backend: Backend) -> Planner:
        settings = self._settings
        # Before anything is probed: making an assistant clears the memory.
        predictors = [load_drafter(self._drafter, settings.model, backend)] if self._drafter else []
        return make_controller(backend, settings.state / "speculation", predictors)


def _roomy(settings: EngineSettings, model: Footprint, available: int) -> bool:
    """Whether everything that is wanted fits into ``available`` bytes; raises ModelLoadError."""
    wanted = _fit(settings, model, _ABUNDANCE)
    try:
        return _fit(settings, model, available) == wanted
    except NotEnoughMemory:
        return False


def _sequences(model: Footprint, found: Fit) -> int:
    """How many conversations and branches may be in memory; a quarter of what is left may go into their windows.

    Beside a drafter one: what several cost there has not been measured.
    """
    if found.drafter is not None:
        return 1
    return fit_sequences(model, (available_bytes() - model.bytes_at(found.n_ctx)) // 4)


def _context_tokens(settings: EngineSettings, model: Footprint, available: int) -> int:
    header, wanted = model.header, settings.context
    if wanted is None:
        return fit_context(model, available, WANTED_CONTEXT)
    name = header.name or settings.model.name
    if header.context_length and wanted > header.context_length:
        raise ModelLoadError(
            f"{name} can read {header.context_length:,} tokens at most; --context {wanted} is too large."
        )
    fits = fit_context(model, available, wanted)
    if fits < min(wanted, header.context_length or wanted) - CONTEXT_STEP:
        raise NotEnoughMemory(
            f"A context of {wanted:,} tokens does not fit into the free memory; {fits:,} would (--context {fits})."
        )
    return fits
