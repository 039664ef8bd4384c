"""The window beside a decoding model: key to echo, decode speed with and without it, a fast stream, a long session.

    python -m bench.tui [--model NAME] [--only echo,speed,stream,long] [--rounds N]

Each program runs under a pseudo-terminal of 100 x 30; echo is timed from the written key to the byte that shows it.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.claims import report

KEY = "§"  # in no answer of a model
KEYS = 45
TOKENS = 260  # the model still writes when the last key is pressed
LONG_ANSWER = 900
SEGMENT = 3.0  # seconds
SETTLING = 0.5  # in which a window that goes on has shown what came meanwhile


class Terminal:
    """A program under a pseudo-terminal; what it writes is read and dropped."""

    def __init__(self, kind: str, flags: list[str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        root = Path(self._folder.name)
        self._result = root / "result.json"
        self._seen = ""
        (root / "work").mkdir()
        self.descriptor, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(Path.cwd())}
        environment |= {"XDG_STATE_HOME": str(root / "state"), "XDG_CONFIG_HOME": str(root / "config")}
        self._environment = environment
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.tui_window", kind, str(self._result), *flags],
            stdin=slave, stdout=slave, stderr=slave, cwd=root / "work", env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def read(self, seconds: float) -> bytes:
        """What comes within this time, the first piece of it; empty when nothing does."""
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        try:
            return os.read(self.descriptor, 1 << 16) if ready else b""
        except OSError:
            return b""

    def rest(self, seconds: float) -> None:
        """Read on for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.read(left)

    def is_writing(self) -> bool:
        """Whether the model has begun to write, from a look at what comes until then."""
        if "writing" not in self._seen:
            self._seen = (self._seen + self.read(0.02).decode(errors="replace"))[-8_000:]
        return "writing" in self._seen

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self._process.send_signal(number)

    def finish(self, meanwhile: Callable[[], None] | None = None) -> dict[str, Any]:
        """Read until the program has ended; what it found."""
        last = b""
        while self._process.poll() is None:
            if meanwhile is not None:
                meanwhile()
            last = (last + self.read(0.05))[-4_000:]
        if not self._result.exists():
            raise SystemExit(f"the measured program failed: {last.decode(errors='replace')}")
        found = json.loads(self._result.read_text(encoding="utf-8"))
        # Its engine would stay for the next program, and in the way of the next measurement.
        stop = [sys.executable, "-m", "agent", "engine", "stop"]
        subprocess.run(stop, env=self._environment, capture_output=True, check=False)
        self._folder.cleanup()
        os.close(self.descriptor)
        return found


class Typist:
    """Presses a key now and then while the model writes, and times its echo in milliseconds."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._pressed = 0
        self._random = random.Random(7)
        self.milliseconds: list[float] = []

    def __call__(self) -> None:
        if not self._terminal.is_writing() or self._pressed == KEYS:
            self._terminal.read(0.02)
            return
        self._terminal.rest(self._random.uniform(0.06, 0.2))
        self._pressed += 1
        began = time.perf_counter()
        os.write(self._terminal.descriptor, KEY.encode())
        seen = b""
        while KEY.encode() not in seen and time.perf_counter() - began < 2:
            seen += self._terminal.read(0.5)
        self.milliseconds.append(1_000 * (time.perf_counter() - began))


class Switch:
    """Stops the window while the model writes, lets it go on, and so forth. The engine runs in a process of its own."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._stops: list[tuple[float, float]] = []

    def __call__(self) -> None:
        if not self._terminal.is_writing():
            return
        self._terminal.rest(SEGMENT)
        self._terminal.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        time.sleep(SEGMENT)
        self._stops.append((stopped, time.monotonic()))
        self._terminal.signal(signal.SIGCONT)

    def speeds(self, times: list[float]) -> list[tuple[float, float]]:
        """Tokens a second while it ran and while it was stopped next, from when each token reached it.

        What came meanwhile reaches it at once when it goes on.
        """
        found: list[tuple[float, float]] = []
        for (_, began), (stopped, went_on) in pairwise(self._stops):
            settled = began + SETTLING
            ran = sum(settled <= each < stopped for each in times) / (stopped - settled)
            waited = sum(stopped <= each < went_on + SETTLING for each in times) - ran * SETTLING
            if times and went_on + SETTLING < times[-1]:
                found.append((ran, waited / (went_on - stopped)))
        return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--only", default="echo,speed,stream,long")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    flags = ["--model", args.model, "--max-tokens", str(TOKENS), "--seed", "1", "--context", "4096", "--offline"]
    wanted = args.only.split(",")
    measures: dict[str, Callable[[], bool]] = {
        "echo": lambda: _echo(flags),
        "speed": lambda: _speed(flags, args.rounds),
        "stream": _stream,
        "long": _long,
    }
    held = [measures[each]() for each in wanted]  # all of them, also when one does not hold
    return 0 if all(held) else 1


def _echo(flags: list[str]) -> bool:
    terminal = Terminal("model", flags)
    typist = Typist(terminal)
    terminal.finish(typist)
    times = sorted(typist.milliseconds)
    if len(times) < 20:
        raise SystemExit(f"only {len(times)} keys were pressed while the model wrote")
    report("tui: key to echo while decoding, median", statistics.median(times), "ms")
    return report("tui: key to echo while decoding, 95th percentile", times[int(0.95 * len(times))], "ms", "<= 50")


def _speed(flags: list[str], rounds: int) -> bool:
    """In one answer the window is stopped and let go on every few seconds: other programs disturb both alike."""
    with_it: list[float] = []
    without: list[float] = []
    for _ in range(rounds):
        terminal = Terminal("model", [*flags, "--max-tokens", str(LONG_ANSWER)])
        switch = Switch(terminal)
        speeds = switch.speeds(terminal.finish(switch)["times"])
        print(f"    {speeds}", file=sys.stderr, flush=True)
        with_it += [pair[0] for pair in speeds]
        without += [pair[1] for pair in speeds]
    report("tui: decode speed while the window runs", statistics.median(with_it), "tokens/s")
    report("tui: decode speed while it is stopped", statistics.median(without), "tokens/s")
    share = statistics.median(one / other for one, other in zip(with_it, without, strict=True))
    return report(f"tui: decode speed with / without, {len(with_it)} changes", share, "x", ">= 0.95")


def _stream() -> bool:
    found = Terminal("stream", ["--model", "stream"]).finish()
    report("tui: streamed pieces", found["tps"], "1/s")
    return report("tui: share of a core at 500 tokens/s", found["cpu"], "", "<= 0.25")


def _long() -> bool:
    found = Terminal("long", ["--model", "stream"]).finish()
    report("tui: rows of a session of 2,000 messages", found["rows"], "rows")
    opened = report("tui: a session of 2,000 messages is open after", found["open"], "s", "<= 1")
    return report("tui: slowest of 250 scrolled frames", 1_000 * found["frame"], "ms", "<= 100") and opened


if __name__ == "__main__":
    sys.exit(main())
