"""An engine host in a thread of this process, on a LedgerBackend: everything but the process is real."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from inference.backend import Backend, Batch
from inference.client import HostedEngine, HostWays
from inference.host import EngineHost, HostOptions
from inference.host_files import HostFiles, listen, open_folder
from inference.in_process import InProcessEngine, LoadProgress
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape

BUILD = "of today"
ENDLESS = 1_000_000


DECODE_SECONDS = 0.0005


class PacedBackend(LedgerBackend):
    """Takes time for a decode in which other threads can run, as llama.cpp does.

    One that never lets go makes events faster than any loop can pass them on, and nothing else is answered.
    """

    def decode(self, batch: Batch) -> None:
        time.sleep(DECODE_SECONDS)
        super().decode(batch)


_ROOMY = LedgerShape(n_ctx=ENDLESS, n_sequences=4)


def roomy(_: LoadProgress) -> Backend:
    return LedgerBackend(_ROOMY)


def paced(_: LoadProgress) -> Backend:
    return PacedBackend(_ROOMY)


@dataclass
class HostThreads:
    """Starts hosts when clients want them. ``launches`` counts them; ``load`` gives the next one its backend."""

    files: HostFiles
    load: Callable[[LoadProgress], Backend] = paced
    idle_seconds: float = 60.0
    build: str = BUILD
    launches: int = 0
    hosts: list[EngineHost] = field(default_factory=list[EngineHost])
    loops: list[asyncio.AbstractEventLoop] = field(default_factory=list[asyncio.AbstractEventLoop])
    threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    async def launch(self) -> None:
        self.launches += 1
        listener = listen(self.files)
        ready = threading.Event()

        def make_engine(on_load: LoadProgress) -> InProcessEngine:
            return InProcessEngine(self.load, on_load=on_load)

        async def serve() -> None:
            host = EngineHost(make_engine, self.files, HostOptions(self.build, "ledger.gguf", self.idle_seconds))
            self.hosts.append(host)
            self.loops.append(asyncio.get_running_loop())
            ready.set()
            with listener:
                await host.run(listener)

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self.threads.append(thread)
        thread.start()
        await asyncio.to_thread(ready.wait, 10)

    def client(self, build: str = BUILD, on_load: Callable[[float], None] = lambda _: None) -> HostedEngine:
        return HostedEngine(HostWays(self.files, build, self.launch, on_load=on_load))

    def stop(self) -> None:
        """End every host and wait for it."""
        for host, loop, thread in zip(self.hosts, self.loops, self.threads, strict=True):
            if thread.is_alive():
                loop.call_soon_threadsafe(host.stop)
            thread.join(20)
            assert not thread.is_alive(), "a host does not go"

    def wait(self, number: int) -> None:
        """Until the host with this number has gone by itself."""
        self.threads[number].join(20)
        assert not self.threads[number].is_alive(), "the host stays"


@contextmanager
def host_threads() -> Generator[HostThreads]:
    # Not pytest's folder: the path of a socket has to be short.
    folder = Path(tempfile.mkdtemp(prefix="host-"))
    threads = HostThreads(HostFiles(folder / "s", "key"))
    open_folder(threads.files.folder)
    try:
        yield threads
    finally:
        threads.stop()
        shutil.rmtree(folder)
