"""Claim: llama.cpp's threads spin while the machine is idle and sleep beside another program, without being told.

Decodes in child processes that take turns: with our watch, and with GNU OpenMP left alone at two settings. It compares
with no other engine; ``bench.peers`` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from bench.claims import report

MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
MODEL = MODELS / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
WATCHED = "watched"
WAYS: dict[str, dict[str, str]] = {
    WATCHED: {},
    "always long spins": {},
    "always short spins": {"GOMP_SPINCOUNT": "1000"},
}
HOG = "while True: pass"
CONTEXT = 1024


def decode_for(way: str, model: Path) -> None:
    """The child: for each line of the parent's, decode that many seconds and print tokens a second."""
    import inference.backend.llama_cpp as real  # before anything else may load another OpenMP
    from inference.backend import Batch

    if way != WATCHED:
        real.open_barriers = lambda: None
    with closing(real.LlamaCppBackend.load(model, n_ctx=CONTEXT)) as backend:
        position = 0
        print("ready", flush=True)
        for line in sys.stdin:
            count, began = 0, time.perf_counter()
            while (passed := time.perf_counter() - began) < float(line):
                if position == CONTEXT:
                    backend.seq_rm(0, 0, -1)
                    position = 0
                backend.decode(Batch([1000 + position], [position], [0], [True]))
                position, count = position + 1, count + 1
            print(count / passed, flush=True)


class Child:
    """One way of waiting at barriers, in a process of its own."""

    def __init__(self, way: str, model: Path) -> None:
        self.way = way
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.barriers", "--way", way, "--model", str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **WAYS[way]},
        )
        self._read()
        self.decode(2.0)

    def decode(self, seconds: float) -> float:
        """Tokens a second."""
        assert self._process.stdin is not None
        print(seconds, file=self._process.stdin, flush=True)
        return float(self._read())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise SystemExit(f"{self.way}: the child ended without an answer")
        return line


def measure(children: list[Child], rounds: int, seconds: float) -> dict[str, float]:
    """Medians of interleaved rounds."""
    values: dict[str, list[float]] = {child.way: [] for child in children}
    for _ in range(rounds):
        for child in children:
            values[child.way].append(child.decode(seconds))
    return {way: statistics.median(measured) for way, measured in values.items()}


def run(model: Path, rounds: int, seconds: float) -> bool:
    children = [Child(way, model) for way in WAYS]
    idle = measure(children, rounds, seconds)
    with subprocess.Popen([sys.executable, "-c", HOG]) as hog:
        crowded = measure(children, rounds, seconds)
        hog.kill()
    for child in children:
        child.close()
    for name, measured in (("an idle machine", idle), ("beside one busy program", crowded)):
        for way, value in measured.items():
            report(f"decode on {name}, {way}", value, "tokens/s")
    long, short = (way for way in WAYS if way != WATCHED)
    holds = [
        report("on an idle machine: watched over always long spins", idle[WATCHED] / idle[long], "ratio", ">= 0.98"),
        report(
            "beside a program: watched over always short spins", crowded[WATCHED] / crowded[short], "ratio", ">= 0.9"
        ),
    ]
    return all(holds)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--way", choices=list(WAYS), help="for the child processes")
    given = parser.parse_args()
    if given.way:
        decode_for(given.way, given.model)
        return 0
    return 0 if run(given.model, given.rounds, given.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
