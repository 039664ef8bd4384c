"""The engine host: one in-process engine, shared by the programs of one user over a Unix socket.

It knows neither models nor settings: whoever starts it gives it an engine (``agent.engine_process``). It runs no
command and opens no other socket. One connection is one client of the scheduler; what it asked for ends with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from inference.host_connection import Connection
from inference.host_files import HostFiles, acquire
from inference.in_process import InProcessEngine, LoadProgress
from inference.memory import process_bytes
from inference.wire import Facts, HostStatus, Welcome

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 128
_READ_AHEAD = 1 << 20  # bytes of a connection
_PREDECESSOR_SECONDS = 30.0  # for the host before to save what it has and free its memory

MakeEngine = Callable[[LoadProgress], InProcessEngine]


@dataclass(frozen=True, slots=True)
class HostOptions:
    """``build`` is what clients must be of, too; ``model`` the file, for people. After ``idle_seconds`` without a
    client the host goes."""

    build: str
    model: str = ""
    idle_seconds: float = 900.0


class EngineHost:
    """Serves clients on a listening socket until it is idle for too long or asked to go; ``run`` once."""

    def __init__(self, make_engine: MakeEngine, files: HostFiles, options: HostOptions) -> None:
        self.engine = make_engine(self._loading)
        self.options = options
        self._files = files
        self._since = time.time()
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._numbers = 0
        self._loaded: asyncio.Task[None] | None = None
        self._running: int | None = None  # the lock of the host that has the model
        self._server: asyncio.Server | None = None
        self._stop = asyncio.Event()
        self._retired = False
        self._idle: asyncio.TimerHandle | None = None
        self._served = 0

    async def run(self, listener: socket.socket) -> None:
        """Serve; raises nothing that a client is told."""
        identity = self._files.socket.stat().st_ino
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=_READ_AHEAD)
        self._loaded = asyncio.create_task(self._load())
        self.left()
        try:
            await self._stop.wait()
        finally:
            await self._leave(identity)
            if self._running is not None:
                os.close(self._running)

    async def ready(self) -> Facts:
        """Wait until the model is loaded; raises what the engine's ``start`` does."""
        assert self._loaded is not None
        await asyncio.shield(self._loaded)
        engine = self.engine
        tokenizer = engine.tokenizer
        return Facts(
            model_name=engine.model_name,
            architecture=engine.architecture,
            context_tokens=engine.context_tokens,
            n_vocab=tokenizer.n_vocab,
            bos_id=tokenizer.bos_id,
            eog_ids=tokenizer.eog_ids,
        )

    def welcome(self) -> Welcome:
        """Who it is."""
        return Welcome(self.options.build, os.getpid())

    def request_ended(self) -> None:
        """Count it."""
        self._served += 1

    def status(self) -> HostStatus:
        """How it is now."""
        resident, private = process_bytes(os.getpid())
        return HostStatus(
            pid=os.getpid(),
            model=self.options.model,
            loaded=self._is_loaded(),
            since=self._since,
            clients=len(self._clients()),
            running=sum(connection.running for connection in self._connections.values()),
            served=self._served,
            resident=resident,
            private=private,
        )

    def attached(self) -> None:
        """There is a client."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def left(self) -> None:
        """A client may have gone; without any the host goes, too, at once or after a while."""
        if self._clients() or self._stop.is_set():
            return
        if self._retired:
            self.stop()
            return
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self.options.idle_seconds, self.stop)

    def stop(self) -> None:
        """Go now; what runs ends with EngineClosed."""
        self._stop.set()

    def leave(self, when: str) -> bool:
        """Go as ``inference.wire.Leave`` says; whether it does."""
        if when == "unused" and self._clients():
            return False
        if when == "finished":
            self._retired = True
            self._close_door(None)
            self.left()
        else:
            self.stop()
        return True

    def _is_loaded(self) -> bool:
        loaded = self._loaded
        return loaded is not None and loaded.done() and not loaded.cancelled() and loaded.exception() is None

    def _clients(self) -> list[Connection]:
        return [connection for connection in self._connections.values() if connection.is_client]

    def _loading(self, fraction: float) -> None:
        for connection in self._clients():
            connection.loading(fraction)

    async def _load(self) -> None:
        self._running = await acquire(self._files.running, _PREDECESSOR_SECONDS)
        if self._running is not None:
            os.ftruncate(self._running, 0)
            os.pwrite(self._running, str(os.getpid()).encode(), 0)
        try:
            await self.engine.start()
        except Exception:
            # Who waits for it is told first.
            asyncio.get_running_loop().call_later(0.2, self.stop)
            raise

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MOST_CONNECTIONS or self._stop.is_set():
            writer.close()
            return
        self._numbers += 1
        task = asyncio.current_task()
        assert task is not None
        connection = self._connections[task] = Connection(self, f"client-{self._numbers}", reader, writer)
        try:
            await connection.serve()
        except Exception:
            log.exception("A connection ended with a fault of ours.")
        finally:
            del self._connections[task]
            writer.close()
            self.left()

    def _close_door(self, identity: int | None) -> None:
        """Be found by no new client; the socket may be a successor's by now, which stays."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with suppress(OSError):
                if identity is None or self._files.socket.stat().st_ino == identity:
                    self._files.socket.unlink()

    async def _leave(self, identity: int) -> None:
        """Stop listening, let the engine save what it has, and tell those who still wait."""
        self._close_door(identity)
        if self._loaded is not None:
            self._loaded.cancel()
            await asyncio.gather(self._loaded, return_exceptions=True)
        await self.engine.close()
        for connection in list(self._connections.values()):
            connection.end()
        if self._connections:
            await asyncio.wait(list(self._connections), timeout=2.0)
        for task in list(self._connections):
            task.cancel()


def serve(make_engine: MakeEngine, files: HostFiles, options: HostOptions, listener: socket.socket) -> None:
    """Run a host in this process until it goes; SIGTERM asks it to."""
    import signal

    async def main() -> None:
        host = EngineHost(make_engine, files, options)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, host.stop)
        await host.run(listener)

    asyncio.run(main())
