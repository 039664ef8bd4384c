"""Claims: with our kernels no decode costs more than with llama.cpp's, and a model is nearer to its weights in floats.

One file is loaded without them and then with them (``--instructions`` chooses others than the best that there are), and
both decode the same rows by turns; medians. ``--floats`` writes the same weights as floats of 32 bits beside it, which
takes 7 GB for the 1.5B, and tells how far each is from what those say. ``--depth`` measures behind so many tokens,
and how long it takes to read them: what attention costs.

    python -m bench.kernels [--size 1.5 | --model FILE] [--instructions avx2] [--rounds 5] [--floats FILE]
                            [--depth 4096] [--kv q8_0]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as lib

from bench.claims import report
from bench.prefix_reuse import MODELS, ROOT
from inference.backend import Batch
from inference.backend.bindings import use_kernels
from inference.backend.llama_cpp import KV_TYPES, LlamaCppBackend
from inference.kernels import INSTRUCTIONS

WIDTHS = (1, 2, 4, 8, 16, 64, 512)
JUDGED = 200
Logits = npt.NDArray[np.float64]


def decode(backend: LlamaCppBackend, tokens: list[int], depth: int) -> float:
    """Read the tokens behind so many others at once, with logits for the last. Seconds."""
    backend.seq_rm(0, depth, -1)
    count = len(tokens)
    began = time.perf_counter()
    backend.decode(Batch(tokens, range(depth, depth + count), [0] * count, [False] * (count - 1) + [True]))
    backend.logits(count - 1)
    return time.perf_counter() - began


def compare(text: str, seconds: dict[str, list[float]]) -> bool:
    """Report medians and their ratio."""
    medians = {name: 1000 * statistics.median(each) for name, each in seconds.items()}
    for name, value in medians.items():
        report(f"{text}: {name}", value, "ms")
    return report(f"{text}: ours over llama.cpp", medians["llama.cpp"] / medians["ours"], "times as fast", ">= 1")


def measure_widths(backends: dict[str, LlamaCppBackend], tokens: list[int], rounds: int, depth: int) -> bool:
    """Milliseconds of decodes of all widths, by turns, behind ``depth`` tokens, which are read first."""
    holds: list[bool] = []
    reading: dict[str, list[float]] = {name: [0.0] for name in backends}
    for start in range(0, depth, len(tokens)):
        for name, backend in backends.items():
            reading[name][0] += decode(backend, tokens, start)
    if depth:
        holds.append(compare(f"reading {depth} tokens", reading))
    for width in WIDTHS:
        seconds: dict[str, list[float]] = {name: [] for name in backends}
        for _ in range(rounds + 1):  # the first lays out buffers
            for name, backend in backends.items():
                seconds[name].append(decode(backend, tokens[:width], depth))
        behind = f" behind {depth}" if depth else ""
        holds.append(compare(f"{width} rows{behind}", {name: each[1:] for name, each in seconds.items()}))
    return all(holds)


def log_probabilities(backend: LlamaCppBackend, tokens: list[int], size: int) -> Logits:
    """Of every token behind each of the first tokens, [rows, vocabulary]; ``size`` rows in a decode."""
    backend.seq_rm(0, 0, -1)
    rows: list[Logits] = []
    for start in range(0, len(tokens), size):
        piece = tokens[start : start + size]
        backend.decode(Batch(piece, range(start, start + len(piece)), [0] * len(piece), [True] * len(piece)))
        rows += [backend.logits(row).astype(np.float64) for row in range(len(piece))]
    logits = np.stack(rows)
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def divergence(wanted: Logits, found: Logits) -> float:
    """How far found distributions are from the wanted ones (Kullback and Leibler): nats, the mean over the rows."""
    return float((np.exp(wanted) * (wanted - found)).sum(-1).mean())


def write_floats(source: Path, target: Path) -> None:
    """The weights of ``source`` as floats of 32 bits."""
    params = lib.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = 0, True
    params.output_tensor_type = params.token_embedding_type = lib.GGML_TYPE_F32
    if cast("Any", lib).llama_model_quantize(str(source).encode(), str(target).encode(), params):
        raise SystemExit(f"llama.cpp could not write {target}")


def measure_distance(backends: dict[str, LlamaCppBackend], floats: Path, tokens: list[int]) -> bool:
    """How far the distribution of the next token is from that of the weights in floats."""
    with closing(LlamaCppBackend.load(floats, n_ctx=1024, kernels=False)) as exact:
        size = exact.info.n_logit_rows
        wanted = log_probabilities(exact, tokens, size)
    distances: dict[str, float] = {}
    for name, backend in backends.items():
        found = log_probabilities(backend, tokens, size)
        distances[name] = divergence(wanted, found)
        report(f"{len(tokens)} tokens of code: {name} from the weights in floats", distances[name], "nats a token")
        same = float((wanted.argmax(-1) == found.argmax(-1)).mean())
        report(f"{len(tokens)} tokens of code: likeliest token as with floats, {name}", 100 * same, "%")
    return report("distance: ours over llama.cpp", distances["ours"] / distances["llama.cpp"], "ratio", "<= 1")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1.5", choices=["0.5", "1.5"], help="billions of parameters")
    parser.add_argument("--model", type=Path, help="another model file")
    parser.add_argument("--instructions", choices=INSTRUCTIONS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--floats", type=Path)
    parser.add_argument("--depth", type=int, default=0, help="tokens that were read before, a multiple of 512")
    parser.add_argument("--kv", default="f16", choices=KV_TYPES)
    given = parser.parse_args()
    size = {"n_ctx": given.depth + 1024, "kv_type": given.kv}
    path = given.model or MODELS / f"qwen2.5-coder-{given.size}b-instruct-q4_k_m.gguf"
    text = (ROOT / "inference" / "kv_store.py").read_text(encoding="utf-8")
    with ExitStack() as opened:
        if given.floats and not given.floats.exists():
            write_floats(path, given.floats)
        theirs = opened.enter_context(closing(LlamaCppBackend.load(path, **size, kernels=False)))
        tokens = theirs.tokenizer.encode(text)[: max(WIDTHS)]
        exact_ok = True
        if not use_kernels(given.instructions):
            print("Our kernels are not compiled, or this processor has not what they need.", file=sys.stderr)
            return 2
        ours = opened.enter_context(closing(LlamaCppBackend.load(path, **size)))
        both = {"llama.cpp": theirs, "ours": ours}
        if given.floats:
            exact_ok = measure_distance(both, given.floats, tokens[:JUDGED])
        fast = measure_widths(both, tokens, given.rounds, given.depth)
    return 0 if fast and exact_ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
