"""Trains the drafter on a target that stays as it is; interrupted, it goes on where it was.

    python -m training.network.train_drafter --data run --out run --steps 2000

It learns what the target would say, not what the samples say: that is what its guesses are compared with. Of each
sample the tokens that the target has to say count, each guessed one, two and three steps ahead. The weights go to
``drafter.npz``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.batches import bare
from training.convert import load_weights, save_weights
from training.network.checkpoints import Run, wait_while
from training.network.counted import counted_rows
from training.network.models import (
    draft_masks,
    draft_step,
    head,
    initialise,
    load_into,
    make_drafter,
    make_target,
    weights_of,
)
from training.network.train import Optimizers, Plan, device, grouped, half, options
from training.samples import Sample, read_samples
from training.shape import Shape

AHEAD = 3
_DRAWN = 2  # samples of each group in a step


@dataclass(frozen=True, slots=True)
class Guesses:
    """Of one sample: the loss a token, and for each step ahead how many guesses of ``rows`` were right."""

    loss: Tensor
    right: tuple[int, ...]
    rows: int


def guess(pair: tuple[Any, Any], shape: Shape, sample: Sample) -> Guesses:
    """Let the drafter guess everything that the target has to say in a sample."""
    target, drafter = pair
    place = next(drafter.parameters()).device
    ids = torch.tensor([sample.ids], device=place)
    size = len(sample.ids)
    # A row for each token whose successors are guessed: it stands right before them.
    rows = torch.from_numpy(np.flatnonzero(sample.mask[2:]) + 1).to(place)
    rows = rows[rows + AHEAD < size]
    # What it was made from is the row before, and the guesses are compared with those behind.
    around = torch.stack([rows - 1 + step for step in range(AHEAD + 1)])
    with torch.no_grad():
        read, kv = counted_rows(target, shape, ids, around.reshape(1, -1))
    hidden = read.view(1, AHEAD + 1, len(rows), -1)
    masks = {kind: mask[:, :, rows - 1] for kind, mask in draft_masks(size, shape.window, place).items()}
    state, losses, right = hidden[:, 0], list[Tensor](), list[int]()
    for step in range(AHEAD):
        with torch.no_grad():
            embedded = target.model.embed_tokens(ids[:, rows + step])
            wanted = head(target, hidden[:, 1 + step], shape.cap)[0].float()
        given = torch.cat([embedded, state], dim=-1)
        logits, state = draft_step(drafter, given, kv, masks, rows[None])
        logits = logits[0].float()
        losses.append(-(wanted.softmax(-1) * logits.log_softmax(-1)).sum(-1).mean())
        right.append(int((logits.argmax(-1) == wanted.argmax(-1)).sum()))
    return Guesses(torch.stack(losses).mean(), tuple(right), len(rows))


def train(run: Run, frozen: tuple[Any, Shape], groups: Sequence[Sequence[Sample]], plan: Plan, seed: int) -> None:
    """One step: samples drawn by seed and step, as many of each group; ``frozen`` is the target.

    Saving is left to the caller.
    """
    target, shape = frozen
    chance = np.random.default_rng((seed, run.step))
    began = time.monotonic()
    run.optimizer.set_rate(plan.rate_of(run))
    run.optimizer.zero_grad()
    place = next(run.model.parameters()).device
    total = 0.0
    drawn = [bare(group[int(chance.integers(len(group)))]) for group in groups for _ in range(_DRAWN)]
    for sample in drawn:
        with half(place):
            loss = guess((target, run.model), shape, sample).loss / len(drawn)
        loss.backward()
        total += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimizer.step()
    run.losses.append(total)
    run.step += 1
    run.seconds += time.monotonic() - began


@torch.no_grad()
def judge(pair: tuple[Any, Any], shape: Shape, samples: Sequence[Sample]) -> list[float]:
    """The share of guesses that the target would accept, for one, two and three steps ahead."""
    found = [guess(pair, shape, sample) for sample in samples]
    rows = sum(each.rows for each in found)
    return [round(sum(each.right[step] for each in found) / max(1, rows), 4) for step in range(AHEAD)]


def main() -> None:
    """The command line."""
    parser = options(__doc__ or "", needs="a folder with *.jsonl and target.npz", steps=2000)
    args = parser.parse_args()
    groups, held_out = grouped(each for path in sorted(args.data.glob("*.jsonl")) for each in read_samples(path))
    samples = [group for group in (groups["session"], groups["drill"]) if group]
    place = device()
    shape, weights = load_weights(args.data / "target.npz")
    target: Any = make_target(shape)
    load_into(target, weights)
    target.to(place).eval().requires_grad_(False)
    own = shape.drafter()
    drafter: Any = make_drafter(own)
    initialise(drafter, args.seed)
    if args.begin_with:
        load_into(drafter, load_weights(args.begin_with)[1])
    drafter.to(place)
    run = Run(drafter, Optimizers(drafter))
    checkpoint = args.out / "drafter.checkpoint"
    run.load(checkpoint, place)
    plan = Plan.of(args)
    while plan.goes_on(run):
        train(run, (target, shape), samples, plan, args.seed)
        if run.step % 10 == 0:
            line = {"step": run.step, "loss": round(sum(run.losses[-10:]) / 10, 4), "left": plan.left(run)}
            print(json.dumps(line), flush=True)
        if run.step % args.save_every == 0:
            run.save(checkpoint)
        wait_while(args.pause)
    run.save(checkpoint)
    save_weights(args.out / "drafter.npz", own, weights_of(drafter))
    unseen = held_out["session"] or held_out["drill"] or samples[0]
    print(json.dumps({"accepted": judge((target, drafter), shape, unseen[:100])}))


if __name__ == "__main__":
    main()
