"""Claims: our engine is never slower than llama.cpp's server and far faster where much is copied or kept.

    python -m bench.peers WORKLOAD... [--systems NAME,NAME] [--rounds N] [--record FILE] [--peers VENV]
    python -m bench.peers --claims FILE...      what earlier runs recorded, as JSON lines

Run it on a machine with nothing else to do. Each round asks every system once, beginning with another one each time.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.peers import measure, workloads
from bench.peers.bars import report_all
from bench.peers.children import Child
from bench.peers.completion import Common, Completion, Setting
from bench.peers.servers import HOW_TO_GET, PeersMissing
from bench.peers.settings import Pair, build, catalogue
from bench.peers.workloads import Encode, Workload
from inference.hardware import physical_cores
from tests.constructed_gemma4 import Shape, drafter, target

MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
SMALL = Shape(window=512, layers=8, width=256, context_gain=0.1, real_vocabulary=True)
TINY = Shape(window=512, context_gain=0.1)
PLAIN = ("ours, plain", "llama-server", "llama-server, defaults", "xllamacpp", "Llama")
WORKLOADS: dict[str, Callable[[Encode], Workload]] = {
    "plain": workloads.plain,
    "prefill-512": lambda encode: workloads.prefill(encode, 512),
    "prefill-2k": lambda encode: workloads.prefill(encode, 2048),
    "prefill-8k": lambda encode: workloads.prefill(encode, 8000),
    "new-code": lambda encode: workloads.answers("new code", encode, workloads.NEW_CODE, 256),
    "prose": lambda encode: workloads.answers("prose", encode, workloads.PROSE, 256),
    "rewrite": workloads.rewrite,
    "tool-session": lambda _encode: workloads.tool_session(),
    "constructed": workloads.constructed,
    "dropped-thoughts": workloads.dropped_thoughts,
}


def models(name: str, knows: float) -> Pair:
    """The files of ``--models``, written where they are constructed."""
    if name == "qwen":
        large, small = (MODELS / f"qwen2.5-coder-{size}b-instruct-q4_k_m.gguf" for size in ("1.5", "0.5"))
        return Pair(large, small)
    shape = {"gemma-small": SMALL, "gemma-tiny": TINY}[name]
    return Pair(target(shape), drafter(shape, knows=knows))


def run(args: argparse.Namespace) -> list[measure.Record]:
    """Start the systems, ask them, end them."""
    pair = models(args.models, args.knows)
    common = Common(pair.target, args.context, args.threads)
    settings = [catalogue(pair)[name] for name in args.systems]
    records: list[measure.Record] = []

    def keep(made: measure.Record) -> None:
        records.append(made)
        if args.record:
            measure.write(args.record, made)

    with ExitStack() as running:
        systems = [build(setting, common, args.peers) for setting in settings]
        encoder = Child(Setting("encoder", "ours"), common)
        for system in [encoder, *systems]:
            running.callback(system.close)
            system.start()
            print(f"{system.name}: {system.version}", file=sys.stderr, flush=True)
            system.complete(Completion(encoder.encode("Warm up.\n" * 20), 16))
        for name in args.workloads:
            workload = WORKLOADS[name](encoder.encode)
            if args.models != "qwen":
                workload = replace(workload, name=f"{workload.name}, {args.models}, {args.knows} accepted")
            tasks = list(workload.tasks)[args.first : args.first + args.rounds]
            measure.interleave(workload, systems, tasks, keep)
    return records


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--systems", type=lambda text: text.split("; "), default=list(PLAIN), help="separated by '; '")
    parser.add_argument("--models", choices=["qwen", "gemma-small", "gemma-tiny"], default="qwen")
    parser.add_argument("--knows", type=float, default=0.99, help="what a constructed drafter is right about")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first task of each workload")
    parser.add_argument("--context", type=int, default=8704)
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("GEMMA_AGENT_PEERS", "peers")))
    parser.add_argument("--record", type=Path)
    parser.add_argument("--claims", type=Path, nargs="+")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.workloads if name not in WORKLOADS]:
        parser.error(f"unknown: {', '.join(unknown)}")
    try:
        records = measure.read(args.claims) if args.claims else run(args)
    except PeersMissing:
        print(HOW_TO_GET, file=sys.stderr)
        return 2
    return 0 if report_all(records) else 1


if __name__ == "__main__":
    raise SystemExit(main())
