"""A client's connection to its engine host: the handshake, and the events of requests on their way back.

It starts no host and knows no settings; ``inference.client`` does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import inference.errors as errors
from inference.errors import ContextOverflow, EngineError
from inference.host_files import HostFiles, connect
from inference.jobs import Job
from inference.request import EngineEvent, Finished
from inference.wire import (
    EVENTS,
    Attach,
    Cancel,
    Facts,
    Failure,
    Hello,
    Leave,
    Loading,
    Welcome,
    WireError,
    encode,
    read_message,
)

_READ_AHEAD = 1 << 20  # bytes
_CONNECT_SECONDS = 5.0
_HANDSHAKE_SECONDS = 30.0  # a host is deaf while it saves what it has before it goes

# Those that are made of a sentence alone; the other one is ContextOverflow.
_ERRORS: dict[str, Callable[[str], EngineError]] = {
    kind.__name__: kind
    for kind in (
        errors.DecodeFailed,
        errors.DrafterMismatch,
        errors.EngineClosed,
        errors.EngineLost,
        errors.InvalidGrammar,
        errors.InvalidRequest,
        errors.KvFull,
        errors.ModelLoadError,
        errors.NotEnoughMemory,
    )
}

Deliver = Callable[[Job, EngineEvent | Exception], None]


class Link:
    """One connection; ``lost`` when the other side is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._jobs: dict[int, Job] = {}
        self._cancelled: set[int] = set()
        self._reading: asyncio.Task[None] | None = None
        self._deliver: Deliver = _drop
        self.welcome = Welcome("", 0)
        self.lost = False

    @classmethod
    async def open(cls, files: HostFiles, build: str) -> Link | None:
        """A connection to a host that said who it is; None where there is none. Raises HostUnreachable."""
        connection = connect(files, _CONNECT_SECONDS)
        if connection is None:
            return None
        connection.setblocking(False)
        link = cls(*await asyncio.open_unix_connection(sock=connection, limit=_READ_AHEAD))
        try:
            link._write(encode(Hello(build)))
            said = await asyncio.wait_for(link._next(), _HANDSHAKE_SECONDS)
        except TimeoutError:
            said = None
        except BaseException:
            link.close()
            raise
        if not isinstance(said, Welcome):
            link.close()
            return None
        link.welcome = said
        return link

    async def attach(self, on_load: Callable[[float], None], deliver: Deliver) -> Facts | None:
        """Become a client and wait for the model; None when the host went before it began to load.

        Raises what loading raised, or EngineLost when the host died of it. Events go to ``deliver`` from then on.
        """
        self._write(encode(Attach()))
        loading = False
        while (said := await self._next()) is not None:
            match said:
                case Facts():
                    if loading:
                        on_load(1.0)
                    self._deliver = deliver
                    self._reading = asyncio.create_task(self._read())
                    return said
                case Failure():
                    raise error_of(said)
                case Loading(fraction=fraction):
                    loading = True
                    on_load(fraction)
                case _:
                    raise errors.HostUnreachable("The engine's process says what nobody understands; stop it first.")
        if loading:
            raise errors.EngineLost("The engine's process ended while it loaded the model.")
        return None

    async def retire(self) -> None:
        """Ask the host to be found by nobody else, and to go when its clients are gone."""
        self._write(encode(Leave("finished")))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._next(), _HANDSHAKE_SECONDS)
        self.close()

    def ask(self, job: Job) -> None:
        """Send a request; its events follow."""
        number = next(self._numbers)
        self._jobs[number] = job
        self._write(encode(job.request, number))

    def cancel(self, job: Job) -> bool:
        """End a request; False when it was not sent here."""
        number = next((number for number, each in self._jobs.items() if each is job), None)
        if number is not None and number not in self._cancelled:
            self._cancelled.add(number)
            self._write(encode(Cancel(), number))
        return number is not None

    def close(self) -> None:
        """Leave; what runs ends at the host."""
        self.lost = True
        if self._reading is not None:
            self._reading.cancel()
        self._writer.close()

    async def _read(self) -> None:
        try:
            while (received := await read_message(self._reader)) is not None:
                message, number = received
                if (job := self._jobs.get(number)) is None:
                    continue
                if isinstance(message, Failure):
                    message = error_of(message)
                elif not isinstance(message, EVENTS):
                    raise WireError("an event of no kind")
                if isinstance(message, Finished | Exception):
                    del self._jobs[number]
                    self._cancelled.discard(number)
                elif job.cancelled.is_set():
                    self.cancel(job)  # its stream was dropped, from wherever
                self._deliver(job, cast("EngineEvent | Exception", message))
        except (OSError, WireError):
            pass
        self.give_up()

    def give_up(self) -> None:
        """The host is gone: tell who waits for it."""
        self.close()
        for job in list(self._jobs.values()):
            self._deliver(job, errors.EngineLost("The engine's process ended in the middle of the answer"))
        self._jobs.clear()

    async def _next(self) -> Any:
        """What the host says next; None when it is gone."""
        try:
            received = await read_message(self._reader)
        except (OSError, WireError):
            return None
        return None if received is None else received[0]

    def _write(self, frame: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame)


def _drop(_: Job, __: EngineEvent | Exception) -> None:
    """Nobody has asked yet."""


def error_of(failure: Failure) -> EngineError:
    """The error that a host met, as the in-process engine would have raised it."""
    if failure.error == "ContextOverflow" and len(failure.numbers) == 2:
        return ContextOverflow(*failure.numbers)
    kind = _ERRORS.get(failure.error, EngineError)
    return kind(failure.message)
