"""A submitted request on its way through the engine: the job in the owner thread, the stream in the caller's loop.

Nothing here decides when a job is served.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

from inference.request import EngineEvent, Finished, Request


@dataclass(eq=False, slots=True)
class Job:
    """One request of one client, and the way back to the task that waits for it.

    ``begun`` (seconds of ``time.perf_counter``) is set by the owner thread; ``cancelled`` by anybody.
    """

    request: Request
    client: str
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[EngineEvent | Exception] = field(default_factory=asyncio.Queue[EngineEvent | Exception])
    submitted: float = field(default_factory=time.perf_counter)
    begun: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def queue_ms(self) -> float:
        """How long the job waited for its first turn, or waits already."""
        return 1000 * ((time.perf_counter() if self.begun is None else self.begun) - self.submitted)

    def send(self, event: EngineEvent | Exception) -> None:
        """From any thread; a loop that is gone has nobody left to tell."""
        if isinstance(event, Finished):
            event = Finished(event.reason, replace(event.stats, queue_ms=self.queue_ms))
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:
            self.cancelled.set()


class EngineStream(AsyncIterator[EngineEvent]):
    """The events of one request. ``aclose``, or dropping the stream, cancels the request through ``cancel``."""

    def __init__(self, job: Job, cancel: Callable[[str], None]) -> None:
        self._job = job
        self._cancel = cancel
        self._ended = False

    @property
    def waiting(self) -> bool:
        """Whether the next event is there already."""
        return not self._job.events.empty()

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
            self._cancel(self._job.request.id)

    def __del__(self) -> None:
        # No lock may be taken here: this can run in the middle of anything.
        if not self._ended:
            self._job.cancelled.set()
