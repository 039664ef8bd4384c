"""The in-process Engine: one thread owns the model, asyncio stays outside.

Requests go in through a queue, events come out through the caller's loop. ``inference.worker`` does the work, and
``inference.scheduling`` says whose turn it is.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from inference.backend import Backend, BackendInfo
from inference.checkpoints import DEFAULT_CHECKPOINT_BYTES
from inference.errors import DecodeFailed, EngineClosed, EngineError
from inference.jobs import EngineStream, Job
from inference.kv_store import KvStore, StoreOptions
from inference.planner import Planner
from inference.prefix_cache import Disk, PrefixCache
from inference.request import EngineEvent, Finished, FinishReason, Request, Stats
from inference.scheduling import Scheduler
from inference.tokenizer import Tokenizer
from inference.worker import Worker, WorkerOptions

LoadProgress = Callable[[float], None]
"""Called with the part of the model that is loaded, 0.0 to 1.0."""

BackendLoader = Callable[[LoadProgress], Backend]
"""Loads a model in the owner thread; raises ModelLoadError or NotEnoughMemory."""


FORKING = 4
"""From so many sequences on, branches of a request get sequences of their own."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """``checkpoint_bytes`` bounds the saved sliding windows; ``planner`` is made in the owner thread. Without a
    ``store`` nothing is kept on disk; with one, conversations are saved when nobody asks for ``save_after`` seconds,
    and in the end."""

    checkpoint_bytes: int = DEFAULT_CHECKPOINT_BYTES
    worker: WorkerOptions = field(default_factory=WorkerOptions)
    planner: Callable[[Backend], Planner] | None = None
    store: StoreOptions | None = None
    save_after: float = 20.0


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
        self._jobs: dict[str, Job] = {}  # all that have not ended
        self._running: Job | None = None  # whose step the owner thread is in
        self._closed = False
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
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

    def submit(self, request: Request, client: str = "") -> EngineStream:
        """Run one request; raises ContextOverflow, EngineClosed or DecodeFailed while iterating.

        Requests of one ``client`` are served in order, several clients by turns. Raises ValueError when a request with
        the same id has not ended.
        """
        job = Job(request, client, asyncio.get_running_loop())
        with self._lock:
            if request.id in self._jobs:
                raise ValueError(f"request {request.id!r} is still running")
            if not self._ready():
                job.send(EngineClosed("The engine is closed; start one before asking it."))
                return EngineStream(job, self.cancel)
            if not request.background:
                self._cancel([job for job in self._jobs.values() if job.request.background])
            self._jobs[request.id] = job
            self._queue.put(job)
        return EngineStream(job, self.cancel)

    def cancel(self, request_id: str) -> None:
        """End the request within one decode; its stream ends with Finished(CANCELLED). Unknown ids are ignored."""
        with self._lock:
            if job := self._jobs.get(request_id):
                self._cancel([job])

    async def close(self) -> None:
        """Free everything; running requests end with EngineClosed. Waits for the decode in progress."""
        with self._lock:
            self._closed = True
            for job in self._jobs.values():
                job.cancelled.set()
            if self._running is not None:
                self._loaded.result().request_abort()
        self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _cancel(self, jobs: Sequence[Job]) -> None:
        """With the lock held. A job that nothing was done for ends at once, its turn is passed over later."""
        for job in jobs:
            job.cancelled.set()
            if job is self._running:
                self._loaded.result().request_abort()
            if job.begun is None:
                del self._jobs[job.request.id]
                job.send(Finished(FinishReason.CANCELLED, Stats()))

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
            disk = Disk(KvStore(self._options.store, backend.info)) if self._options.store else None
            # Half of the sequences are for requests, the other half for their branches; of few, all are for requests.
            slots = backend.info.n_sequences // 2 if backend.info.n_sequences >= FORKING else backend.info.n_sequences
            cache = PrefixCache(backend, self._options.checkpoint_bytes, disk=disk, left_to_others=slots - 1)
            freed.callback(cache.close)
            worker = Worker(backend, cache, planner, self._options.worker)
            scheduler = Scheduler(worker.serve, slots, self._options.worker.clock)
            self._loaded.set_result(backend)
            while self._receive(scheduler, cache):
                self._serve(worker, scheduler)
            scheduler.clear()
            with self._lock:
                for job in self._jobs.values():
                    job.send(EngineClosed("The engine was closed before the answer was complete."))
                self._jobs.clear()

    def _receive(self, scheduler: Scheduler, cache: PrefixCache) -> bool:
        """Pass on what was submitted, waiting for it when there is nothing else to do; False: the engine is closed."""
        while scheduler.idle or not self._queue.empty():
            try:
                job = self._queue.get(block=scheduler.idle, timeout=self._options.save_after)
            except queue.Empty:
                cache.save_all()
                job = self._queue.get()
            if job is None:
                return False
            scheduler.add(job)
        return True

    def _serve(self, worker: Worker, scheduler: Scheduler) -> None:
        """One step of the request whose turn it is."""
        turn = scheduler.next()
        job = turn.job
        with self._lock:
            if self._jobs.get(job.request.id) is not job:
                scheduler.drop(turn)  # cancelled before its first turn; its stream has ended
                return
            job.begun = job.begun or time.perf_counter()
            self._running = job
        try:
            event: EngineEvent | Exception = scheduler.step(turn)
        except EngineError as error:
            event = error
        except Exception as error:  # noqa: BLE001 - raised again where the stream is read; the thread lives on
            event = error
            worker.reset()
            for other in scheduler.clear():
                self._end(other, DecodeFailed("A fault in another request emptied the cache; ask again."))
        with self._lock:
            self._running = None
        if isinstance(event, Finished | Exception):
            self._end(job, event)
        else:
            job.send(event)

    def _end(self, job: Job, event: Finished | Exception) -> None:
        with self._lock:
            if self._closed:
                return  # told in the end
            del self._jobs[job.request.id]
        job.send(event)
