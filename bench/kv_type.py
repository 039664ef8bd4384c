"""Claim: none with a bar; what a KV cache in q8_0 costs and saves against one in f16, on real weights.

Both are read and written by turns in one process: speed of prefill and decode, bytes a token, and how much less likely
the text becomes. It compares with no other program.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.claims import report
from bench.prefix_reuse import MODELS, ROOT
from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend

BASE, OTHER = "f16", "q8_0"
PIECE = 32


@dataclass
class Side:
    """One type of KV, with all its runs; speeds are tokens a second."""

    backend: LlamaCppBackend
    read: list[float] = field(default_factory=list[float])
    decoded: list[float] = field(default_factory=list[float])
    bytes_a_token: float = 0.0
    nats: float = 0.0

    def run(self, tokens: list[int], depth: int, steps: int) -> None:
        """Read ``depth`` tokens, decode ``steps`` behind them, then judge the text that really follows."""
        backend, size = self.backend, self.backend.info.n_batch
        backend.seq_rm(0, 0, -1)
        began = time.perf_counter()
        for start in range(0, depth, size):
            piece = tokens[start : min(start + size, depth)]
            places = range(start, start + len(piece))
            backend.decode(Batch(piece, places, [0] * len(piece), [False] * (len(piece) - 1) + [True]))
        backend.logits((depth - 1) % size)
        self.read.append(depth / (time.perf_counter() - began))
        self.bytes_a_token = backend.save_sequence(0).nbytes / depth
        began = time.perf_counter()
        for place in range(depth, depth + steps):
            backend.decode(Batch((tokens[place],), (place,), (0,), (True,)))
            backend.logits(0)
        self.decoded.append(steps / (time.perf_counter() - began))
        self.nats = self._surprise(tokens, depth + steps)

    def _surprise(self, tokens: list[int], start: int) -> float:
        """The mean negative log-probability of the tokens from ``start`` on, each given all before it."""
        backend, surprises = self.backend, list[float]()
        for place in range(start, len(tokens) - 1 - PIECE, PIECE):
            piece = tokens[place : place + PIECE]
            backend.decode(Batch(piece, range(place, place + PIECE), [0] * PIECE, [True] * PIECE))
            for row in range(PIECE):
                logits = backend.logits(row).astype(np.float64)
                highest = float(logits.max())
                total = math.log(float(np.exp(logits - highest).sum())) + highest
                surprises.append(total - float(logits[tokens[place + row + 1]]))
        return statistics.fmean(surprises)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1.5", choices=["0.5", "1.5"], help="billions of parameters")
    parser.add_argument("--depth", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--judged", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    path: Path = MODELS / f"qwen2.5-coder-{given.size}b-instruct-q4_k_m.gguf"
    if not path.exists():
        print(f"{path} is missing: agent models pull qwen2.5-coder-{given.size}b", file=sys.stderr)
        return 2
    length = given.depth + given.steps + given.judged
    with ExitStack() as opened:
        sides = {
            kind: Side(opened.enter_context(closing(LlamaCppBackend.load(path, n_ctx=length + 64, kv_type=kind))))
            for kind in (BASE, OTHER)
        }
        text = "\n".join(each.read_text("utf-8") for each in sorted((ROOT / "inference").rglob("*.py")))
        tokens = sides[BASE].backend.tokenizer.encode(text[: 8 * length])[:length]
        for _ in range(given.rounds):
            for side in sides.values():
                side.run(tokens, given.depth, given.steps)
        base, other = sides[BASE], sides[OTHER]
    label = f"({given.size}B, {given.depth} tokens deep)"
    for name, ours, others in (("prefill", base.read, other.read), ("decode", base.decoded, other.decoded)):
        ratio = statistics.median(b / a for a, b in zip(ours, others, strict=True))
        report(f"{name} with f16 {label}", statistics.median(ours), "tokens/s")
        report(f"{name} with q8_0 {label}", statistics.median(others), "tokens/s")
        report(f"{name}, q8_0 over f16 {label}", ratio, "ratio")
    report(f"a token's KV, q8_0 over f16 {label}", other.bytes_a_token / base.bytes_a_token, "ratio")
    report(f"surprise at the text with f16 {label}", base.nats, "nats a token")
    report(f"surprise at the text, q8_0 less f16 {label}", other.nats - base.nats, "nats a token")
    return 0


if __name__ == "__main__":
    sys.exit(main())
