"""How a command is started: the program, its environment, and the launcher that ends what it started.

It starts nothing; ``tools.process`` does.
"""

from __future__ import annotations

import asyncio
import functools
import marshal
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from tools.errors import ToolError


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What to run and where; ``environment`` is complete."""

    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def shell_line(command: str, folder: Path, environment: Mapping[str, str]) -> CommandLine:
    """A line for bash, or for sh where there is no bash. Raises ToolError for one that no shell can take."""
    if "\0" in command or len(command) > 100_000:
        raise ToolError("The command has NUL characters or is too long; write a script file and run that.")
    try:
        os.fsencode(command)
    except UnicodeEncodeError as error:
        raise ToolError("The command holds characters that are no text; write it otherwise.") from error
    shell = shutil.which("bash", path=environment.get("PATH")) or shutil.which("bash") or "/bin/sh"
    return CommandLine([shell, "-c", command], folder, environment)


class Started(Protocol):
    """A started process, as asyncio has it."""

    @property
    def pid(self) -> int:
        """Its process id; it leads a process group."""
        ...

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        ...

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """Both output streams."""
        ...

    async def wait(self) -> int:
        """Wait for its end."""
        ...


async def reading(pipe: IO[bytes]) -> asyncio.StreamReader:
    """What comes by the pipe of a process that asyncio did not start itself; the pipe is closed at its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**16, loop=loop)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader, loop=loop), pipe)
    return reader


class Starter(Protocol):
    """Starts processes in another way than as a new program of ours."""

    async def start(self, launch: Launch) -> tuple[Started, socket.socket]:
        """Start one; also our side of the socket that is its standard input. Raises OSError or ValueError."""
        ...


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to start and how it is ended.

    Its standard input is a socket to us on which it says "." once the command is about to run; it waits for an answer.
    ``descriptors`` are inherited, and closed here once it has started. With ``asked_to_end`` it ends all it started
    when the socket closes; otherwise the kernel does, when the program itself is killed. ``starter`` starts it, and
    says what ``argv`` means to it; without one it is executed.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    descriptors: tuple[int, ...] = ()
    asked_to_end: bool = True
    starter: Starter | None = None


@functools.cache
def bundle(*scripts: Path) -> bytes:
    """Our scripts, compiled: read once, so that nobody can exchange them, and quicker than from source."""
    codes = (compile(path.read_text(encoding="utf-8"), path.name, "exec") for path in scripts)
    return b"".join(map(marshal.dumps, codes))


def interpreter() -> str:
    """Not the one of a virtual environment: that may lie in the workspace, where commands can exchange it."""
    return os.path.realpath(sys.executable)


def specification(line: CommandLine, confinement: Mapping[str, Any] | None) -> bytes:
    """What a launcher is told. ``confinement``: see ``tools.launcher``; None for none."""
    spec = {
        "command": list(line.argv),
        "folder": str(line.folder),
        "environment": dict(line.environment),
        "confinement": None if confinement is None else dict(confinement),
    }
    return marshal.dumps(spec)


def launcher(line: CommandLine) -> Launch:
    """Run a command below the launcher, which ends its descendants with it."""
    number = file_in_memory(bundle(Path(__file__).with_name("launcher.py")) + specification(line, None))
    run = (
        f"import marshal, os, sys; os.set_inheritable({number}, False); file = open({number}, 'rb'); space = {{}}; "
        "exec(marshal.load(file), space); sys.exit(space['main'](marshal.load(file)))"
    )
    return Launch([interpreter(), "-I", "-S", "-c", run], {"LC_ALL": "C.UTF-8"}, (number,))


def file_in_memory(content: bytes) -> int:
    """A descriptor, at its beginning, of a file without a name; the caller closes it."""
    if sys.platform == "linux":
        number = os.memfd_create("launch")
    else:
        with tempfile.TemporaryFile() as file:
            number = os.dup(file.fileno())
    os.write(number, content)
    os.lseek(number, 0, os.SEEK_SET)
    return number
