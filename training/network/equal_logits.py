"""Claim: the same weights give the same logits in transformers and in llama.cpp, target and drafter, within 0.01.

Random weights by default, or trained ones; float32 on both sides; well beyond the sliding window. It proves how model
files are written and that both programs compute the same graphs, and says nothing about what a model is worth.

    python -m training.network.equal_logits --vocabulary run/vocabulary.gguf
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gguf import GGMLQuantizationType
from torch import Tensor
from torch.nn import functional

from training.convert import Weights, load_weights, write_model
from training.llama import Pair
from training.network.models import (
    draft_masks,
    draft_step,
    head,
    load_into,
    make_drafter,
    make_target,
    read,
    weights_of,
)
from training.shape import Shape
from training.vocabulary import Vocabulary, read_vocabulary

Array = npt.NDArray[np.float32]
BAR = 0.01
_SIZES = {"q_norm": 0.3, "post_": 0.3}  # attention neither flat nor on single tokens; what a layer adds
DRAFTED = 3
"""How many steps of drafting are compared: from the second on the drafter reads its own hidden row."""


class TableGelu(torch.nn.Module):
    """GELU as llama.cpp has it on CPUs: looked up by 16-bit numbers."""

    def forward(self, given: Tensor) -> Tensor:
        """Elementwise."""
        return functional.gelu(given.half().float(), approximate="tanh").half().float()


@dataclass(frozen=True, slots=True)
class Side:
    """What one program computes for one text of n tokens.

    ``logits`` (n, vocabulary) and ``hidden`` (n, width) of the target; ``drafts`` (steps, n - 1, vocabulary) of the
    drafter, for what follows each token but the first.
    """

    logits: Array
    hidden: Array
    drafts: Array


def randomised(weights: Weights, seed: int) -> dict[str, Array]:
    """Weights of the same sizes that let no mistake hide: norms and layer scales are different everywhere, and layers
    add about as much as in training, so that the smallest differences do not grow from layer to layer."""
    chance = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for name, array in weights.items():
        drawn = chance.standard_normal(array.shape) / np.sqrt(array.shape[-1])
        if array.ndim == 1:
            drawn = chance.uniform(0.6, 1.4, array.shape)
            drawn *= next((size for part, size in _SIZES.items() if part in name), 1.0)
        made[name] = drawn.astype(np.float32)
    return made


@torch.no_grad()
def by_transformers(target: Any, drafter: Any, shape: Shape, ids: list[int], follow: list[int]) -> Side:
    """All positions at once."""
    tokens = torch.tensor([ids])
    hidden, kv = read(target, tokens)
    masks = draft_masks(len(ids), shape.window, tokens.device)
    positions = torch.arange(1, len(ids))[None]
    last, state, drafts = tokens[:, 1:], hidden[:, :-1], list[Tensor]()
    for step in range(DRAFTED):
        given = torch.cat([target.model.embed_tokens(last), state], dim=-1)
        logits, state = draft_step(drafter, given, kv, masks, positions)
        drafts.append(logits[0])
        last = torch.full_like(last, follow[step])
    both = head(target, hidden, shape.cap)[0], hidden[0], torch.stack(drafts)
    return Side(*(tensor.numpy() for tensor in both))


def by_llama(target: Path, drafter: Path, ids: list[int], follow: list[int]) -> Side:
    """Token by token; before each is read, the drafter guesses what follows it."""
    logits, hidden, drafts = list[Array](), list[Array](), list[list[Array]]()
    with Pair(target, drafter, context=len(ids) + 64) as pair:
        for position, token in enumerate(ids):
            if position:
                drafts.append(list(_guesses(pair, token, hidden[-1], position, follow)))
            row, state = pair.read(token, position)
            logits.append(row)
            hidden.append(state)
    return Side(np.array(logits), np.array(hidden), np.array(drafts).swapaxes(0, 1))


def _guesses(pair: Pair, token: int, hidden: Array, position: int, follow: list[int]) -> Iterator[Array]:
    for step in range(DRAFTED):
        logits, hidden = pair.draft(token, hidden, position)
        yield logits
        token = follow[step]


def compare(models: tuple[Any, Any], shape: Shape, vocabulary: Vocabulary, ids: list[int]) -> dict[str, float]:
    """The largest differences, by what is compared; logits in units, hidden rows likewise.

    The last ones are those that remain when transformers, too, looks GELU up in a table of 16-bit numbers.
    """
    target, drafter = models
    follow = ids[:DRAFTED]
    ours = by_transformers(target, drafter, shape, ids, follow)
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "target.gguf"), Path(folder, "drafter.gguf")
        shapes = shape, drafter_shape(shape, drafter)
        for path, size, model in zip(paths, shapes, models, strict=True):
            write_model(path, path.stem, (size, weights_of(model)), vocabulary, GGMLQuantizationType.F32)
        theirs = by_llama(*paths, ids, follow)
    for layer in (*target.model.layers, *drafter.model.layers):
        layer.mlp.act_fn = TableGelu()
    tabled = by_transformers(target, drafter, shape, ids, follow)
    return {
        "target": _most(ours.logits, theirs.logits),
        "target's hidden rows": _most(ours.hidden, theirs.hidden),
        **{f"drafter, step {step + 1}": _most(ours.drafts[step], theirs.drafts[step]) for step in range(DRAFTED)},
        "spread of the target's logits": float(ours.logits.std()),
        "spread of the drafter's logits": float(ours.drafts.std()),
        "target, GELU from a table": _most(tabled.logits, theirs.logits),
        "drafter, GELU from a table": _most(tabled.drafts, theirs.drafts),
    }


def drafter_shape(shape: Shape, drafter: Any) -> Shape:
    """The shape of a drafter that exists."""
    text = drafter.config.text_config
    return replace(
        shape.drafter(text.hidden_size, text.num_hidden_layers, text.intermediate_size), shared=text.num_hidden_layers
    )


def _most(ours: Array, theirs: Array) -> float:
    return float(np.abs(ours.astype(np.float64) - theirs).max())


def random_pair(shape: Shape, seed: int) -> tuple[Any, Any]:
    """A target of this shape and a drafter for it, with weights as ``randomised`` draws them."""
    models = make_target(shape).eval(), make_drafter(shape.drafter()).eval()
    for number, model in enumerate(models):
        load_into(model, randomised(weights_of(model), seed + number))
    return models


def _trained_pair(target: Path, drafter: Path) -> tuple[tuple[Any, Any], Shape]:
    shape, weights = load_weights(target)
    own, others = load_weights(drafter)
    models = make_target(shape).eval(), make_drafter(own).eval()
    load_into(models[0], weights)
    load_into(models[1], others)
    return models, shape


def main() -> int:
    """The command line; 0 when the claim holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--vocabulary", type=Path, required=True, help="a GGUF file that holds the vocabulary")
    parser.add_argument("--trained", type=Path, nargs=2, metavar=("TARGET", "DRAFTER"), help="files of weights (.npz)")
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--window", type=int, default=128, help="of random models")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    vocabulary = read_vocabulary(args.vocabulary)
    size = len(vocabulary.tokens)
    ids = np.random.default_rng(args.seed).integers(0, size, args.tokens).tolist()
    if args.trained:
        models, shape = _trained_pair(*args.trained)
        found = {"trained": compare(models, shape, vocabulary, ids)}
    else:
        base = Shape(size, window=args.window)
        shapes = {
            "values from keys": base,
            "own values, no cap, no shared layers": replace(base, values_are_keys=False, cap=0.0, shared=0),
            "two heads of KV, a low cap, half the layers shared": replace(base, kv_heads=2, cap=3.0, shared=4),
        }
        found = {name: compare(random_pair(each, args.seed), each, vocabulary, ids) for name, each in shapes.items()}
    worst = max(value for each in found.values() for name, value in each.items() if not name.startswith("spread"))
    claim = f"largest difference of logits and hidden rows over {args.tokens} tokens, transformers and llama.cpp"
    line = {"claim": claim, "value": worst, "unit": "logit", "bar": f"< {BAR}", "holds": worst < BAR}
    print(json.dumps({**line, "parts": found}))
    return 0 if worst < BAR else 1


if __name__ == "__main__":
    sys.exit(main())
