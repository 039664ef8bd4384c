"""An Engine in another process: requests go to the host over its Unix socket, events come back.

It computes nothing and imports nothing native. A host that is not there is started, one of another build is asked to
go, one that died is replaced when something is asked again: what was under way there ends with EngineLost.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from inference.errors import EngineClosed, EngineLost, HostUnreachable, ModelLoadError
from inference.host_files import HostFiles, acquire, connect, open_folder
from inference.host_link import Link
from inference.jobs import EngineStream, Job
from inference.remote_tokenizer import RemoteTokenizer
from inference.request import EngineEvent, Finished, FinishReason, Request, Stats
from inference.tokenizer import Tokenizer
from inference.wire import Facts

_START_SECONDS = 60.0  # for another program that is starting the host: until it listens
_ATTEMPTS = 4  # a host may be about to go when it is found
_DEATH_SECONDS = 0.05  # between the end of a process and the time when it can be said why


def _silent(_: float) -> None:
    """Show nothing."""


def _unknown(_: int) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class HostWays:
    """How a client comes to its host.

    ``launch`` starts one and returns when it listens (HostUnreachable: it does not). ``build`` is what the host must be
    of, too. ``obituary`` tells why the process with an id ended, where that is known. ``on_load`` hears the part of the
    model that is loaded.
    """

    files: HostFiles
    build: str
    launch: Callable[[], Awaitable[None]]
    obituary: Callable[[int], str] = _unknown
    on_load: Callable[[float], None] = _silent


class HostedEngine:
    """``inference.engine.Engine`` in a host; to be used from one asyncio loop."""

    def __init__(self, ways: HostWays) -> None:
        self._ways = ways
        self._link: Link | None = None
        self._facts: Facts | None = None
        self._tokenizer: RemoteTokenizer | None = None
        self._opening = asyncio.Lock()
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's vocabulary; stays the same when the host is replaced."""
        self._known()
        assert self._tokenizer is not None
        return self._tokenizer

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        return self._known().context_tokens

    @property
    def model_name(self) -> str:
        """``general.name`` of the model file, or its file name."""
        return self._known().model_name

    @property
    def architecture(self) -> str:
        """``general.architecture`` of the model file."""
        return self._known().architecture

    async def start(self) -> None:
        """See that a host with the model is there; raises what loading it raises, HostUnreachable, or EngineClosed.

        Calling it again does nothing, unless the host has ended: then there is another one afterwards.
        """
        async with self._opening:
            if self._closed:
                raise EngineClosed("The engine was closed; make a new one.")
            if self._link is not None and not (self._tokenizer and self._tokenizer.answers()):
                self._link.give_up()  # it has ended, and nobody has read so far
            if self._link is None or self._link.lost:
                self._link = await self._open()

    def submit(self, request: Request) -> EngineStream:
        """Run one request; raises ContextOverflow, EngineClosed, DecodeFailed or what ``start`` does while iterating.

        Raises ValueError when a request with the same id has not ended.
        """
        if request.id in self._jobs:
            raise ValueError(f"request {request.id!r} is still running")
        job = Job(request, "", asyncio.get_running_loop())
        if self._closed or self._facts is None:
            job.events.put_nowait(EngineClosed("The engine is closed; start one before asking it."))
            return EngineStream(job, self.cancel)
        self._jobs[request.id] = job
        if self._link is not None and not self._link.lost:
            self._link.ask(job)
        else:
            task = asyncio.create_task(self._ask_later(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return EngineStream(job, self.cancel)

    def cancel(self, request_id: str) -> None:
        """End the request within one decode; its stream ends with Finished(CANCELLED). Unknown ids are ignored."""
        if job := self._jobs.get(request_id):
            job.cancelled.set()
            if self._link is None or not self._link.cancel(job):
                self._deliver(job, Finished(FinishReason.CANCELLED, Stats()))

    async def close(self) -> None:
        """Leave the host to others; running requests end with EngineClosed."""
        self._closed = True
        for job in list(self._jobs.values()):
            self._deliver(job, EngineClosed("The engine was closed before the answer was complete."))
        for task in self._tasks:
            task.cancel()
        if self._link is not None:
            self._link.close()
        if self._tokenizer is not None:
            self._tokenizer.connect(None)

    def _known(self) -> Facts:
        if self._facts is None or self._closed:
            raise EngineClosed("The model is not loaded; start the engine before using it.")
        return self._facts

    async def _ask_later(self, job: Job) -> None:
        """When the host has been lost: start another one first."""
        try:
            await self.start()
        except Exception as error:  # noqa: BLE001 - raised again where the stream is read
            self._deliver(job, error)
            return
        if job.request.id in self._jobs and self._link is not None:
            self._link.ask(job)

    def _deliver(self, job: Job, event: EngineEvent | Exception) -> None:
        if self._jobs.get(job.request.id) is not job:
            return
        if isinstance(event, Finished | Exception):
            del self._jobs[job.request.id]
        if isinstance(event, EngineLost):
            asyncio.get_running_loop().call_later(_DEATH_SECONDS, self._mourn, job)
        else:
            job.events.put_nowait(event)

    def _mourn(self, job: Job) -> None:
        job.events.put_nowait(
            EngineLost(
                f"The engine's process ended in the middle of the answer{self._reason()}; ask again: it is started "
                "anew and goes on from what it kept on disk."
            )
        )

    def _reason(self) -> str:
        pid = 0 if self._link is None else self._link.welcome.pid
        reason = self._ways.obituary(pid)
        return f" ({reason})" if reason else ""

    async def _open(self) -> Link:
        open_folder(self._ways.files.folder)
        for _ in range(_ATTEMPTS):
            link = await self._reach() or await self._start_host()
            if link is None:
                continue
            self._link = link  # so that it is known whose end it is
            try:
                facts = await link.attach(self._ways.on_load, self._deliver)
            except EngineLost as error:
                link.close()
                await asyncio.sleep(_DEATH_SECONDS)
                raise ModelLoadError(
                    f"The engine's process ended while it loaded the model{self._reason()}; `agent models verify` "
                    "checks its file."
                ) from error
            except BaseException:
                link.close()
                raise
            if facts is not None and self._connect_tokenizer(facts):
                self._facts = facts
                return link
            link.close()
        raise HostUnreachable("The engine's process goes as soon as it is there; its log says why.")

    def _connect_tokenizer(self, facts: Facts) -> bool:
        connection = connect(self._ways.files)
        if connection is None:
            return False
        if self._tokenizer is None:
            self._tokenizer = RemoteTokenizer(facts)
        self._tokenizer.connect(connection)
        return True

    async def _reach(self) -> Link | None:
        """A link to a host of our build; one of another build is asked to go."""
        link = await Link.open(self._ways.files, self._ways.build)
        if link is not None and link.welcome.build != self._ways.build:
            await link.retire()
            return None
        return link

    async def _start_host(self) -> Link | None:
        """A link to a new host, or to that of another program that was quicker."""
        descriptor = await acquire(self._ways.files.starting, _START_SECONDS)
        if descriptor is None:
            raise HostUnreachable("Another program is starting the engine and does not get on; `agent engine stop`.")
        try:
            link = await self._reach()
            if link is None:
                await self._ways.launch()
                link = await self._reach()
            return link
        finally:
            os.close(descriptor)
