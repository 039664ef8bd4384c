"""The engine hosts of this user: which one belongs to which settings, how one is started, which ones are there.

It loads no model and talks to no host but to ask how it is, or to go; ``inference.client`` does.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from agent.engine_settings import EngineSettings
from agent.models.verify import identity
from inference.client import HostedEngine, HostWays
from inference.errors import HostUnreachable, ModelLoadError
from inference.host_files import HostFiles, all_hosts, connect, open_folder, running_pid, socket_folder
from inference.wire import (
    HEADER,
    AskStatus,
    HostStatus,
    Leave,
    Leaving,
    WireError,
    decode,
    encode,
    payload_length,
)

ROOT = Path(__file__).resolve().parent.parent
_LISTENING_SECONDS = 60.0  # a cold disk
_ANSWER_SECONDS = 5.0


class HostOrders(BaseModel):
    """What a new host is told on its standard input. ``folder`` and ``key`` say where it is met."""

    model_config = ConfigDict(frozen=True)

    settings: EngineSettings
    folder: Path
    key: str
    build: str
    idle_seconds: float


def log_path(state: Path) -> Path:
    """The log of the hosts with this state folder."""
    return state / "engine.log"


@cache
def build() -> str:
    """What the code that a host runs is of: two programs with equal builds understand each other.

    Names, sizes and times of our files and of the bindings, not a version: reading that takes longer, and a checkout
    has the same one every day.
    """
    spec = importlib.util.find_spec("llama_cpp")
    native = [Path(spec.origin)] if spec is not None and spec.origin else []
    own = [*sorted((ROOT / "inference").rglob("*.py")), *sorted((ROOT / "agent").glob("*engine*.py"))]
    digest = hashlib.sha256(sys.version.encode())
    for path in (*own, *native):
        status = path.stat()
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]


def host_files(settings: EngineSettings) -> HostFiles:
    """Where the host for these settings is met; another file under the same name is another host.

    Raises ModelLoadError for a file that cannot be read.
    """
    files = [path for path in (settings.model, settings.drafter) if path is not None]
    try:
        what = "\n".join([settings.model_dump_json(), *map(identity, files)])
    except OSError as error:
        raise ModelLoadError(
            f"The model file {error.filename} cannot be read ({error.strerror}); choose another with --model."
        ) from error
    return HostFiles(socket_folder(), hashlib.sha256(what.encode()).hexdigest()[:16])


def hosted_engine(settings: EngineSettings, idle_seconds: float, on_load: Callable[[float], None]) -> HostedEngine:
    """The engine in the host for these settings; raises HostUnreachable where no host can be met, or ModelLoadError."""
    open_folder(socket_folder())
    files = host_files(settings)
    orders = HostOrders(settings=settings, folder=files.folder, key=files.key, build=build(), idle_seconds=idle_seconds)
    launcher = _Launcher(orders)
    return HostedEngine(HostWays(files, orders.build, launcher.launch, launcher.obituary, on_load))


class _Launcher:
    """Starts the host of one set of settings, and knows how it ended when it was started here."""

    def __init__(self, orders: HostOrders) -> None:
        self._orders = orders
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    async def launch(self) -> None:
        """Start a host; returns when it listens. Raises HostUnreachable."""
        try:
            process = self._start()
        except OSError as error:
            raise HostUnreachable(f"The engine's process cannot be started: {error.strerror}.") from error
        self._processes[process.pid] = process
        # Reaps it, whenever it ends.
        threading.Thread(target=process.wait, name="engine-host", daemon=True).start()
        assert process.stdout is not None
        with process.stdout as said:
            listening = await asyncio.to_thread(said.read)
        if listening != b"listening\n":
            place = log_path(self._orders.settings.state)
            raise HostUnreachable(f"The engine's process did not start; {place} says why. --in-process does without.")

    def obituary(self, pid: int) -> str:
        """Why a process ended, in a few words."""
        name = self._orders.settings.model.name
        process = self._processes.get(pid)
        code = None if process is None else process.poll()
        if code is not None and code < 0:
            return f"{name}: {signal.strsignal(-code) or f'signal {-code}'}"
        return name

    def _start(self) -> subprocess.Popen[bytes]:
        """A process of its own session: no terminal, no working folder, nothing of ours kept open."""
        state = self._orders.settings.state
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with log_path(state).open("ab") as log:
            log_path(state).chmod(0o600)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "agent.engine_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as orders:
            orders.write(self._orders.model_dump_json().encode())
        return process


def ask(files: HostFiles, message: AskStatus | Leave) -> HostStatus | Leaving | None:
    """What a host answers; None where there is none, or one that nobody understands. Raises HostUnreachable."""
    connection = connect(files, _ANSWER_SECONDS)
    if connection is None:
        return None
    with closing(connection), suppress(OSError, WireError, EOFError):
        connection.sendall(encode(message))
        with connection.makefile("rb") as answers:
            header = _read(answers, HEADER.size)
            found, _ = decode(header, _read(answers, payload_length(header)))
        return found if isinstance(found, HostStatus | Leaving) else None
    return None


def hosts() -> list[tuple[HostFiles, HostStatus | None]]:
    """The hosts that run now; None for one that does not say how it is."""
    found: list[tuple[HostFiles, HostStatus | None]] = []
    for files in all_hosts(socket_folder()):
        with suppress(HostUnreachable):
            status = ask(files, AskStatus())
            if isinstance(status, HostStatus):
                found.append((files, status))
            elif running_pid(files) is not None:
                found.append((files, None))
    return found


def make_way(own: HostFiles | None = None) -> None:
    """Ask other hosts without clients to go, and wait until their memory is free; with the rest we have to live."""
    asked: list[HostFiles] = []
    for files in all_hosts(socket_folder() if own is None else own.folder):
        if files != own:
            with suppress(HostUnreachable):
                answer = ask(files, Leave("unused"))
                asked += [files] if isinstance(answer, Leaving) and answer.goes else []
    wait_until_gone(asked)


def end_hosts(patience: float = 15.0) -> tuple[list[HostFiles], list[HostFiles]]:
    """Ask all hosts to go at once; those that are gone, and those that still run after ``patience`` seconds."""
    asked = [files for files, _ in hosts()]
    for files in asked:
        with suppress(HostUnreachable):
            ask(files, Leave("now"))
    left = wait_until_gone(asked, patience)
    return [files for files in asked if files not in left], left


def wait_until_gone(asked: list[HostFiles], patience: float = 15.0) -> list[HostFiles]:
    """Wait until none of the hosts runs; those that still do after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while (left := [files for files in asked if running_pid(files) is not None]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _read(stream: Any, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data
