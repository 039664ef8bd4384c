"""The two models in transformers: made from a shape, their weights in and out, and what the drafter is shown.

It trains nothing. PyTorch and transformers are imported here and in what trains, nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import (
    Gemma4AssistantConfig,
    Gemma4AssistantForCausalLM,
    Gemma4ForCausalLM,
    Gemma4TextConfig,
)

from training.shape import FULL, SLIDING, Shape, text_settings

# transformers 5.24 leaves out rows that nobody asks for in the layers that share KV, and fails at it where a model has
# no inputs by layer. It does so only where the rows are given as a number.
EVERY_ROW = torch.zeros((), dtype=torch.long)

_SHARPNESS = 2.0  # the spread of attention scores before training
_FIRST_SHARE = 0.3  # what a layer adds beside what was there

Kv = dict[str, tuple[Tensor, Tensor]]
"""Keys and values by kind of layer, each (batch, heads, tokens, head)."""


def make_target(shape: Shape) -> Gemma4ForCausalLM:
    """A target with transformers' initial weights."""
    return Gemma4ForCausalLM(Gemma4TextConfig(**text_settings(shape)))


def make_drafter(shape: Shape) -> Gemma4AssistantForCausalLM:
    """A drafter with transformers' initial weights."""
    text = Gemma4TextConfig(**text_settings(shape))
    return Gemma4AssistantForCausalLM(Gemma4AssistantConfig(text_config=text, backbone_hidden_size=shape.backbone))


@torch.no_grad()
def initialise(model: torch.nn.Module, seed: int) -> None:
    """Draw weights to begin training with.

    Matrices keep the size of what passes through. Gemma 4 divides no attention scores by the size of the heads, which
    the norm of the queries has to do instead; and each layer begins by adding little.
    """
    chance = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            weight.copy_(torch.randn(weight.shape, generator=chance) / weight.shape[1] ** 0.5)
        elif "q_norm" in name:
            weight.fill_(_SHARPNESS / weight.shape[0] ** 0.5)
        elif "post_" in name:
            weight.fill_(_FIRST_SHARE)
        else:
            weight.fill_(1.0)


def weights_of(model: torch.nn.Module) -> dict[str, npt.NDArray[np.float32]]:
    """Parameters and layer scales as arrays, tied ones once."""
    state = model.state_dict()
    return {
        name: tensor.detach().float().cpu().numpy().copy() for name, tensor in state.items() if name != "lm_head.weight"
    }


def load_into(model: torch.nn.Module, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Put arrays into a model; raises ValueError where one is missing or too many."""
    given = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.items()}
    result: Any = model.load_state_dict(given, strict=False)
    missing = set(result.missing_keys) - {"lm_head.weight"}
    if missing or result.unexpected_keys:
        raise ValueError(f"missing {sorted(missing)}, unexpected {result.unexpected_keys}")


def read(target: Gemma4ForCausalLM, ids: Tensor) -> tuple[Tensor, Kv]:
    """Hidden rows (batch, tokens, width) behind the last norm, and the KV that a drafter reads."""
    seen: Any = target.model(input_ids=ids, use_cache=False, return_shared_kv_states=True, logits_to_keep=EVERY_ROW)
    kv: Kv = {kind: tuple(seen.shared_kv_states[kind]) for kind in (SLIDING, FULL)}
    return seen.last_hidden_state, kv


def head(target: Gemma4ForCausalLM, hidden: Tensor, cap: float) -> Tensor:
    """Logits of hidden rows, bent by the soft cap (0: none)."""
    logits: Tensor = target.lm_head(hidden)
    return torch.tanh(logits / cap) * cap if cap else logits


def draft_masks(tokens: int, window: int, device: torch.device) -> dict[str, Tensor]:
    """What a drafter sees while it guesses what follows token p: for each p from 1 on, a row over ``tokens`` keys.

    The target has read what stands before p. So full layers see keys 0 to p-1, and sliding ones, as llama.cpp counts,
    those of them that are less than ``window`` away from p. (transformers' own drafting lets sliding layers see the
    last ``window`` + 1 keys instead.) Shape (1, 1, tokens - 1, tokens); True is seen.
    """
    rows = torch.arange(1, tokens, device=device)[:, None]
    keys = torch.arange(tokens, device=device)[None, :]
    before = keys < rows
    near = before & (keys > rows - window)
    return {FULL: before[None, None], SLIDING: near[None, None]}


def draft_step(
    drafter: Gemma4AssistantForCausalLM, given: Tensor, kv: Kv, masks: Mapping[str, Tensor], positions: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of drafting for many positions at once: logits, and the hidden rows for the step after it.

    ``given`` is (batch, rows, 2 * target width): the target's scaled embedding of the last token, then the hidden row
    of the token before. ``positions`` (1, rows) are those of the first step's tokens and stay for all steps.
    """
    seen: Any = drafter.model(
        inputs_embeds=drafter.pre_projection(given),
        attention_mask=dict(masks),
        position_ids=positions,
        shared_kv_states=dict(kv),
        use_cache=False,
        logits_to_keep=EVERY_ROW,
    )
    rows: Tensor = seen.last_hidden_state
    return drafter.lm_head(rows), drafter.post_projection(rows)
