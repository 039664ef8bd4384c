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
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

from bench.claims import report

KEY = "§"  # in no answer of a model
KEYS = 45
TOKENS = 260  # the model still writes when the last key is pressed


class Terminal:
    """A program under a pseudo-terminal; what it writes is read and dropped."""

    def __init__(self, kind: str, flags: list[str], home: Path | None = None) -> None:
        """With a ``home`` several share an engine, which is whoever's who made it; without one it ends with this."""
        self._folder = tempfile.TemporaryDirectory()
        self._home = home
        root = Path(self._folder.name)
        self._result = root / "result.json"
        (root / "work").mkdir()
        self.descriptor, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(Path.cwd())}
        environment |= {"XDG_STATE_HOME": str(home or root / "state"), "XDG_CONFIG_HOME": str(root / "config")}
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

    def finish(self, meanwhile: Callable[[], None] | None = None) -> dict[str, float]:
        """Read until the program has ended; what it found."""
        last = b""
        while self._process.poll() is None:
            if meanwhile is not None:
                meanwhile()
            last = (last + self.read(0.05))[-4_000:]
        if not self._result.exists():
            raise SystemExit(f"the measured program failed: {last.decode(errors='replace')}")
        found = json.loads(self._result.read_text(encoding="utf-8"))
        if self._home is None:
            stop_engine(self._environment["XDG_STATE_HOME"])
        self._folder.cleanup()
        os.close(self.descriptor)
        return found


def stop_engine(home: str) -> None:
    """It would stay for the next program, and in the way of the next measurement."""
    command = [sys.executable, "-m", "agent", "engine", "stop"]
    subprocess.run(command, env={**os.environ, "XDG_STATE_HOME": home}, capture_output=True, check=False)


class Typist:
    """Presses a key now and then while the model writes, and times its echo in milliseconds."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._seen = ""
        self._pressed = 0
        self._random = random.Random(7)
        self.milliseconds: list[float] = []

    def __call__(self) -> None:
        if "writing" not in self._seen or self._pressed == KEYS:
            self._seen = (self._seen + self._terminal.read(0.02).decode(errors="replace"))[-8_000:]
            return
        self._rest(self._random.uniform(0.06, 0.2))
        self._pressed += 1
        began = time.perf_counter()
        os.write(self._terminal.descriptor, KEY.encode())
        seen = b""
        while KEY.encode() not in seen and time.perf_counter() - began < 2:
            seen += self._terminal.read(0.5)
        self.milliseconds.append(1_000 * (time.perf_counter() - began))

    def _rest(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            self._terminal.read(left)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--only", default="echo,speed,stream,long")
    parser.add_argument("--rounds", type=int, default=6)
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
    """One engine serves both by turns; a first answer warms it up, and others begin in turn."""
    with_it: list[float] = []
    without: list[float] = []
    with tempfile.TemporaryDirectory() as home:
        Terminal("plain", flags, Path(home)).finish()
        for number in range(rounds):
            for kind in ("model", "plain") if number % 2 else ("plain", "model"):
                found = Terminal(kind, flags, Path(home)).finish()
                print(f"    {kind}: {found}", file=sys.stderr, flush=True)
                (with_it if kind == "model" else without).append(found["tps"])
        stop_engine(home)
    report("tui: decode speed with the window", statistics.median(with_it), "tokens/s")
    report("tui: decode speed without it", statistics.median(without), "tokens/s")
    share = statistics.median(with_it) / statistics.median(without)
    return report("tui: decode speed with / without", share, "x", ">= 0.95")


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
