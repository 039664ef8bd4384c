"""The in-process Engine: one thread owns the model, asyncio stays outside.

Requests go in through a queue, events come out through the caller's loop; ``inference.worker`` does the work.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace

from inference.backend import Backend, BackendInfo
from inference.errors import EngineClosed, EngineError
from inference.planner import Planner
from inference.prefix_cache import DEFAULT_CHECKPOINT_BYTES, PrefixCache
from inference.request import EngineEvent, Finished, FinishReason, Request, Stats
from inference.tokenizer import Tokenizer
from inference.worker import Worker, WorkerOptions

LoadProgress = Callable[[float], None]
"""Called with the part of the model that is loaded, 0.0 to 1.0."""

BackendLoader = Callable[[LoadProgress], Backend]
"""Loads a model in the owner thread; raises ModelLoadError or NotEnoughMemory."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """``checkpoint_bytes`` bounds the saved sliding windows; ``planner`` is made in the owner thread."""

    checkpoint_bytes: int = DEFAULT_CHECKPOINT_BYTES
    worker: WorkerOptions = field(default_factory=WorkerOptions)
    planner: Callable[[Backend], Planner] | None = None


@dataclass(eq=False, slots=True)
class _Job:
    """One submitted request and the way back to the task that waits for it."""

    request: Request
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[EngineEvent | Exception] = field(default_factory=asyncio.Queue[EngineEvent | Exception])
    submitted: float = field(default_factory=time.perf_counter)
    cancelled: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def send(self, event: EngineEvent | Exception) -> None:
        """From any thread; a loop that is gone has nobody left to tell."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:
            self.cancelled.set()


class EngineStream(AsyncIterator[EngineEvent]):
    """The events of one request. ``aclose``, or dropping the stream, cancels the request."""

    def __init__(self, engine: InProcessEngine, job: _Job) -> None:
        self._engine = engine
        self._job = job
        self._ended = False

    def __aiter__(self) -> EngineStream:
        return self

    async def __anext__(self) -> EngineEvent:
        if self._ended:
            raise StopAsyncIteration
        event = await self._job.events.get()
        if isinstance(event, Exception):
            self._ended = True
            raise event
        self._ended = isinstance(event, Finished)
        return event

    async def aclose(self) -> None:
        """Cancel the request unless it has ended; does not wait for the decode in progress."""
        if not self._ended:
            self._ended = True
            self._engine.cancel(self._job.request.id)

    def __del__(self) -> None:
        # No lock may be taken here: this can run in the middle of anything.
        if not self._ended:
            self._job.cancelled.set()


class InProcessEngine:
    """``inference.engine.Engine`` on a backend of this process.

    ``load`` runs in the owner thread; ``on_load`` hears its progress in the loop that called ``start``.
    """

    def __init__(
        self, load: BackendLoader, options: EngineOptions | None = None, on_load: LoadProgress | None = None
    ) -> None:
        self._load = load
        self._options = options or EngineOptions()
        self._on_load = on_load
        self._lock = threading.Lock()  # guards _jobs, _running and _closed
        self._jobs: dict[str, _Job] = {}
        self._running: _Job | None = None
        self._closed = False
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loaded: Future[Backend] = Future()

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's vocabulary; raises EngineClosed before ``start`` and after ``close``."""
        return self._backend().tokenizer

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        return self._backend().info.n_ctx

    @property
    def model_name(self) -> str:
        """``general.name`` of the model file, or its file name."""
        return self._backend().info.model_name

    @property
    def architecture(self) -> str:
        """``general.architecture`` of the model file."""
        return self._backend().info.architecture

    @property
    def info(self) -> BackendInfo:
        """All facts of the loaded model."""
        return self._backend().info

    async def start(self) -> None:
        """Load the model; raises ModelLoadError, NotEnoughMemory or EngineClosed. Calling it again does nothing."""
        with self._lock:
            if self._closed:
                raise EngineClosed("The engine was closed; make a new one.")
            if self._thread is None:
                progress = self._progress_in(asyncio.get_running_loop())
                self._thread = threading.Thread(target=self._own, args=(progress,), name="inference", daemon=True)
                self._thread.start()
        await asyncio.shield(asyncio.wrap_future(self._loaded))

    def submit(self, request: Request) -> EngineStream:
        """Run one request; raises ContextOverflow, EngineClosed or DecodeFailed while iterating.

        Raises ValueError when a request with the same id has not ended.
        """
        job = _Job(request, asyncio.get_running_loop())
        with self._lock:
            if request.id in self._jobs:
                raise ValueError(f"request {request.id!r} is still running")
            if not self._ready():
                job.events.put_nowait(EngineClosed("The engine is closed; start one before asking it."))
            else:
                self._jobs[request.id] = job
                self._queue.put(job)
        return EngineStream(self, job)

    def cancel(self, request_id: str) -> None:
        """End the request within one decode; its stream ends with Finished(CANCELLED). Unknown ids are ignored."""
        with self._lock:
            job = self._jobs.get(request_id)
            if job is None:
                return
            job.cancelled.set()
            if job is self._running:
                self._loaded.result().request_abort()
                return
            del self._jobs[request_id]
        job.send(Finished(FinishReason.CANCELLED, Stats(queue_ms=1000 * (time.perf_counter() - job.submitted))))

    async def close(self) -> None:
        """Free everything; running requests end with EngineClosed. Waits for the decode in progress."""
        with self._lock:
            self._closed = True
            for job in self._jobs.values():
                job.closed.set()
                job.cancelled.set()
            if self._running is not None:
                self._loaded.result().request_abort()
        self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _ready(self) -> bool:
        return not self._closed and self._loaded.done() and self._loaded.exception() is None

    def _backend(self) -> Backend:
        if not self._ready():
            raise EngineClosed("The model is not loaded; start the engine before using it.")
        return self._loaded.result()

    def _progress_in(self, loop: asyncio.AbstractEventLoop) -> LoadProgress:
        def report(fraction: float) -> None:
            if self._on_load is not None:
                loop.call_soon_threadsafe(self._on_load, fraction)

        return report

    def _own(self, progress: LoadProgress) -> None:
        """The owner thread: load, serve until told to stop, free."""
        with ExitStack() as freed:
            try:
                backend = freed.enter_context(closing(self._load(progress)))
                planner = (
                    freed.enter_context(closing(self._options.planner(backend))) if self._options.planner else None
                )
            except BaseException as error:  # noqa: BLE001 - the thread has no caller: who awaits start() gets it
                self._loaded.set_exception(error)
                return
            cache = PrefixCache(backend, self._options.checkpoint_bytes)
            worker = Worker(backend, cache, planner, self._options.worker)
            self._loaded.set_result(backend)
            while (job := self._queue.get()) is not None:
                self._serve(worker, job)

    def _serve(self, worker: Worker, job: _Job) -> None:
        with self._lock:
            if self._jobs.get(job.request.id) is not job:
                return  # cancelled in the queue; its stream has ended
            self._running = job
        queue_ms = 1000 * (time.perf_counter() - job.submitted)
        ending: Finished | Exception = Finished(FinishReason.CANCELLED, Stats())
        try:
            for event in () if job.cancelled.is_set() else worker.serve(job.request, job.cancelled.is_set):
                if isinstance(event, Finished):
                    ending = event
                else:
                    job.send(event)
        except EngineError as error:
            ending = error
        except Exception as error:  # noqa: BLE001 - raised again where the stream is read; the thread lives on
            worker.reset()
            ending = error
        with self._lock:
            self._running = None
            del self._jobs[job.request.id]
        if job.closed.is_set():
            ending = EngineClosed("The engine was closed while the answer was being written.")
        elif isinstance(ending, Finished):
            ending = Finished(ending.reason, replace(ending.stats, queue_ms=queue_ms))
        job.send(ending)
