"""Trains the target on samples; interrupted, it goes on where it was.

    python -m training.network.train --data run --out run --steps 4000

On a GPU, where there is one, in bfloat16 and compiled; else on the CPU in float32. It reads every ``*.jsonl`` of
``--data``: sessions, drills and texts. The weights go to ``target.npz`` (``training.convert`` makes a model of them).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.batches import CURRICULUM, GOING_ON, Batch, Batches, bare, make_batch, stage_at
from training.convert import load_weights, save_weights
from training.network.checkpoints import Run, time_left, wait_while
from training.network.copying import begin_with_copying
from training.network.counted import counted_rows
from training.network.models import head, initialise, load_into, make_target, weights_of
from training.network.muon import Muon
from training.samples import Sample, read_samples
from training.shape import Shape
from training.vocabulary import read_vocabulary

_BETAS = (0.9, 0.95)
_DECAY = 0.1
_WARM_UP = 0.02  # the share of all steps in which the rate rises
_COOLING = 0.45  # the share of all steps after which it falls
_LAST_RATE = 0.05  # of the highest
_MATRIX_RATE = 4.0  # of the other weights' rate: Muon takes larger steps well
_CLIP = 1.0
_HALVES = 2  # of a step, side by side


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast; ``rate`` at its highest, falling from the share ``cooling`` of the training on.

    ``stop`` is the step to end at, to go on another time. With ``minutes`` the training ends after so many that were
    spent on steps, at the latest, and its progress is the larger of both shares.
    """

    steps: int
    rate: float
    stop: int
    cooling: float = _COOLING
    minutes: float = math.inf

    @classmethod
    def of(cls, args: argparse.Namespace) -> Plan:
        """As ``options`` tell."""
        return cls(args.steps, args.rate, min(args.steps, args.stop_at or args.steps), args.cooling, args.minutes)

    def progress(self, run: Run) -> float:
        """The share of the training that is done; 1 at its end."""
        return max(run.step / max(1, self.steps), run.seconds / (60 * self.minutes))

    def goes_on(self, run: Run) -> bool:
        """Whether there is another step."""
        return run.step < self.stop and self.progress(run) < 1

    def left(self, run: Run) -> str:
        """The time to the end at the speed so far, for people."""
        return time_left(run, min(self.steps, round(run.step / max(1e-9, self.progress(run)))))

    def rate_of(self, run: Run) -> float:
        """The next step's: rising, then constant, then falling along a line."""
        progress = self.progress(run)
        if progress < _WARM_UP:
            return self.rate * max(progress / _WARM_UP, 1 / (1 + self.steps * _WARM_UP))
        cooled = max(0.0, progress - self.cooling) / (1 - self.cooling)
        return self.rate * (1 - (1 - _LAST_RATE) * min(1.0, cooled))


def options(about: str, *, needs: str, steps: int) -> argparse.ArgumentParser:
    """The command line that both trainings have; ``needs`` says what ``--data`` holds."""
    parser = argparse.ArgumentParser(description=about.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help=needs)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--minutes", type=float, default=math.inf, help="end after so many, whatever the steps")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--cooling", type=float, default=_COOLING, help="share of the steps after which the rate falls")
    parser.add_argument("--begin-with", type=Path, help="trained weights (*.npz) instead of new ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--stop-at", type=int, help="end after this step, to go on later")
    parser.add_argument("--pause", type=Path, help="wait while this file exists")
    return parser


def device() -> torch.device:
    """The best that is there."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half(place: torch.device) -> Any:
    """Arithmetic in bfloat16 where a GPU does it."""
    return torch.autocast("cuda", torch.bfloat16) if place.type == "cuda" else nullcontext()


class Optimizers:
    """Muon for the matrices of the layers, AdamW for embeddings and norms, as one.

    Muon learns to copy in about half the steps; embeddings, whose rows are rarely used, are none of its matters.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        named = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
        inner = [each for name, each in named if each.ndim == 2 and "embed" not in name and "lm_head" not in name]
        tables = [each for name, each in named if each.ndim == 2 and ("embed" in name or "lm_head" in name)]
        norms = [each for _, each in named if each.ndim < 2]
        groups = [{"params": tables, "weight_decay": 0.01}, {"params": norms, "weight_decay": 0.0}]
        self._each: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.AdamW(groups, lr=0.0, betas=_BETAS),
            Muon(inner, _DECAY),
        )

    def set_rate(self, rate: float) -> None:
        """The rate of the next step."""
        for optimizer, factor in zip(self._each, (1.0, _MATRIX_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for each in self._each:
            each.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Change the weights by their gradients."""
        for each in self._each:
            each.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """What the next step depends on."""
        return [each.state_dict() for each in self._each]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on from what ``state_dict`` gave."""
        for each, state in zip(self._each, states, strict=True):
            each.load_state_dict(state)


def loss_of(target: Any, shape: Shape, batch: Batch) -> tuple[Tensor, Tensor]:
    """The weighted mean loss, and which of the ids that count were guessed right.

    Only rows that count go through the last layers and the head.
    """
    place = next(target.parameters()).device
    ids = torch.from_numpy(batch.ids).to(place)
    places, counted = (torch.from_numpy(each).to(place) for each in batch.counted())
    hidden = counted_rows(target, shape, ids[:, :-1], places - 1, batch.shared)[0][counted]
    wanted = ids.gather(1, places)[counted]
    weight = torch.from_numpy(batch.weights).to(place).gather(1, places)[counted]
    logits = head(target, hidden, shape.cap).float()
    losses = functional.cross_entropy(logits, wanted, reduction="none")
    return (losses * weight).sum() / weight.sum(), logits.argmax(-1) == wanted


class SideBySide:
    """Computes batches at the same time, each in a thread of its own on a model that shares the weights.

    Threads that share every operation wait for each other: two of them kept 1.5 cores busy, two batches 1.8.
    """

    def __init__(self, model: Any, shape: Shape, count: int) -> None:
        self._shape = shape
        self._models = [model, *(make_target(shape) for _ in range(count - 1))]
        for other in self._models[1:]:
            other.train()
            for own, shared in zip(other.parameters(), model.parameters(), strict=True):
                own.data = shared.data

    def gradients(self, batches: Sequence[Batch]) -> float:
        """Set the model's gradients to the mean of the batches', one for each model; the mean loss."""
        if len(batches) == 1:
            return self._one(self._models[0], batches[0])
        with ThreadPoolExecutor(len(batches), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            losses = list(pool.map(self._one, self._models, batches))
        first, *others = (list(each.parameters()) for each in self._models)
        for at, weights in enumerate(first):
            found = [each.grad for each in (weights, *(other[at] for other in others)) if each.grad is not None]
            if found:
                weights.grad = torch.stack(found).sum(0) / len(batches)
        for other in self._models[1:]:
            other.zero_grad(set_to_none=True)
        return sum(losses) / len(losses)

    def _one(self, model: Any, batch: Batch) -> float:
        with half(next(model.parameters()).device):
            loss, _ = loss_of(model, self._shape, batch)
        loss.backward()
        return float(loss.detach())


def train(
    run: Run, shape: Shape, batches: Batches, plan: Plan, report: Callable[[int], None], *, halves: int = 1
) -> None:
    """Steps until the plan ends; ``report`` hears of each how many tokens it had.

    With ``halves`` a step has so many batches, computed side by side.
    """
    run.model.train()
    aside = SideBySide(run.model, shape, halves)
    while plan.goes_on(run):
        began = time.monotonic()
        some = [batches.at(halves * run.step + part, plan.progress(run)) for part in range(halves)]
        run.optimizer.set_rate(plan.rate_of(run))
        run.optimizer.zero_grad()
        run.losses.append(aside.gradients(some))
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), _CLIP)
        run.optimizer.step()
        run.step += 1
        run.seconds += time.monotonic() - began
        report(sum(batch.tokens for batch in some))


@torch.no_grad()
def judge(model: Any, shape: Shape, samples: Sequence[Sample]) -> dict[str, float]:
    """How well what the model has to say is guessed: loss a token, the share of tokens guessed right, and the share of
    samples said without a mistake.

    Where every token is the likeliest, decoding without chance gives exactly that answer.
    """
    place = next(model.parameters()).device
    model.eval()
    losses, shares, whole = list[float](), list[float](), list[bool]()
    for sample in samples:
        batch = make_batch([sample])
        only_said = replace(batch, weights=(batch.weights >= 1.0).astype(np.float32), shared=0)
        with half(place):
            loss, right = loss_of(model, shape, only_said)
        losses.append(float(loss))
        shares.append(float(right.float().mean()))
        whole.append(bool(right.all()))
    model.train()
    means = {"loss": losses, "right": shares, "without a mistake": whole}
    return {name: round(sum(each) / len(each), 4) for name, each in means.items()}


def grouped(samples: Iterable[Sample]) -> tuple[dict[str, list[Sample]], dict[str, list[Sample]]]:
    """Samples by group (text, repeat, drill, session): those for training, and those that are held out."""
    groups: dict[str, list[Sample]] = {"text": [], "repeat": [], "drill": [], "session": []}
    held_out: dict[str, list[Sample]] = {name: [] for name in groups}
    for sample in samples:
        first = sample.kind.split()[0]
        (held_out if sample.held_out else groups)[first if first in groups else "session"].append(sample)
    return groups, held_out


def main() -> None:
    """The command line."""
    parser = options(__doc__ or "", needs="a folder with vocabulary.gguf and *.jsonl", steps=4000)
    parser.add_argument("--tokens", type=int, default=8192, help="a step")
    parser.add_argument("--judged", type=int, default=100, help="held-out samples of each group that are looked at")
    args = parser.parse_args()
    shape = Shape(len(read_vocabulary(args.data / "vocabulary.gguf").tokens))
    groups, held_out = grouped(each for path in sorted(args.data.glob("*.jsonl")) for each in read_samples(path))
    plan = Plan.of(args)
    place = device()
    model: Any = make_target(shape)
    if args.begin_with:
        load_into(model, load_weights(args.begin_with)[1])
    else:
        initialise(model, args.seed)
        begin_with_copying(model, shape, args.seed)
    curriculum = GOING_ON if args.begin_with else CURRICULUM
    model.to(place)
    run = Run(model, Optimizers(model))
    checkpoint = args.out / "target.checkpoint"
    run.load(checkpoint, place)
    if place.type == "cuda":
        model.model.compile()

    def tell() -> None:
        # As they are trained on at this stage: what was never read in training makes any answer a guess.
        whole = stage_at(curriculum, plan.progress(run)).whole
        for name, samples in held_out.items():
            if samples and name != "text":
                some = [sample if whole else bare(sample) for sample in samples[: args.judged]]
                print(json.dumps({"step": run.step, name: judge(model, shape, some)}), flush=True)

    def report(tokens: int) -> None:
        if run.step % 10 == 0 or run.step == 1:
            recent = run.losses[-10:]
            line = {"step": run.step, "loss": round(sum(recent) / len(recent), 4), "tokens": tokens}
            print(json.dumps({**line, "left": plan.left(run)}), flush=True)
        if run.step % args.save_every == 0:
            run.save(checkpoint)
            tell()
        wait_while(args.pause)

    halves = _HALVES if place.type == "cpu" and len(os.sched_getaffinity(0)) >= _HALVES else 1
    batches = Batches(groups, args.tokens // halves, args.seed, curriculum)
    train(run, shape, batches, plan, report, halves=halves)
    run.save(checkpoint)
    save_weights(args.out / "target.npz", shape, weights_of(model))
    tell()


if __name__ == "__main__":
    main()
