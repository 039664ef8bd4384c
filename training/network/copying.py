"""Weights to begin with that can copy already: what followed the same tokens before is what follows now.

Learning that from nothing takes a small model millions of tokens, and nothing else is learnt before it. The first layer
looks a fixed number of tokens back and notes a short code of what it finds; the first full layer looks for the place
where the codes are those of the present tokens, and says what stands there. Everything else begins at random, and
training changes all of it.
"""

from __future__ import annotations

from typing import Any

import torch

from training.shape import FULL, ROTATED, SLIDING, THETA, Shape

_CODES = (24, 12, 12)  # numbers in the code of the token 1, 2, 3 places back
_CONSTANT = 8.0  # a number that is the same in every row, beside ones that spread by 1
_FREQUENCIES = 5  # the fastest ones, that tell neighbours apart
_BACK_SHARPNESS = 2.5
_MATCH_SHARPNESS = 0.35
_EARLIER = 0.25  # how much a match of the tokens before counts beside one of the present token
_COPIED = 2.0  # how much the copied token counts beside what was there
_LITTLE = 0.1  # what the other layers add at first
_LOUDNESS = 3.0  # of the logits


@torch.no_grad()
def begin_with_copying(model: Any, shape: Shape, seed: int) -> None:
    """Change initial weights of a target so that it copies; raises ValueError for a shape that has no room for it."""
    codes = sum(_CODES)
    room = shape.full_head - 2 * int(ROTATED * shape.full_head // 2)
    if shape.heads < len(_CODES) or room < codes or shape.sliding_head < max(_CODES) or shape.values_are_keys:
        raise ValueError("the shape has no room for heads that copy")
    chance = torch.Generator().manual_seed(seed)
    tokens = shape.width - codes - 1  # numbers of a row that tell the token; then the constant, then the codes
    table = model.model.embed_tokens.weight
    table[:, tokens:] = 0.0
    table[:, tokens] = _CONSTANT / shape.width**0.5
    for layer in model.model.layers:
        layer.post_attention_layernorm.weight.fill_(_LITTLE)
        layer.post_feedforward_layernorm.weight.fill_(_LITTLE)
    code = torch.randn(max(_CODES), tokens, generator=chance) / tokens**0.5
    _look_back(model.model.layers[shape.kinds.index(SLIDING)], shape, code)
    _find_the_same(model.model.layers[shape.kinds.index(FULL)], shape, code, chance)
    model.model.norm.weight.fill_(_LOUDNESS)


def _look_back(layer: Any, shape: Shape, code: torch.Tensor) -> None:
    """Heads that see the token 1, 2, 3 places back whatever it is, and note its code."""
    attention, size, tokens = layer.self_attn, shape.sliding_head, code.shape[1]
    rates = THETA[SLIDING] ** (-torch.arange(_FREQUENCIES) / (size // 2))
    attention.q_norm.weight.fill_(_BACK_SHARPNESS)
    attention.k_proj.weight.mul_(0.02)
    attention.v_proj.weight.mul_(0.02)
    for start in range(0, shape.kv_heads * size, size):
        attention.k_proj.weight[start : start + _FREQUENCIES, tokens] = 1.0
        attention.v_proj.weight[start : start + len(code), :tokens] = code
    attention.o_proj.weight.mul_(0.02)
    place = tokens + 1
    for head, length in enumerate(_CODES):
        query = attention.q_proj.weight[head * size : (head + 1) * size]
        query.mul_(0.02)
        query[:_FREQUENCIES, tokens] = torch.cos(rates * (head + 1))
        query[size // 2 : size // 2 + _FREQUENCIES, tokens] = -torch.sin(rates * (head + 1))
        attention.o_proj.weight[place : place + length, head * size : head * size + length] = torch.eye(length)
        place += length
    layer.post_attention_layernorm.weight.fill_(1.0)


def _find_the_same(layer: Any, shape: Shape, code: torch.Tensor, chance: torch.Generator) -> None:
    """Heads that look for the row behind the same tokens as the last ones, and say which token it has."""
    attention, size, tokens = layer.self_attn, shape.full_head, code.shape[1]
    turned = int(ROTATED * size // 2)
    free = torch.tensor([*range(turned, size // 2), *range(size // 2 + turned, size)])
    attention.q_norm.weight.fill_(_MATCH_SHARPNESS)
    # In a key: the codes of the tokens before. In a query: those of the present token and of the ones before it.
    attention.k_proj.weight.mul_(0.02)
    codes = sum(_CODES)
    said = torch.randn(size, tokens, generator=chance) / tokens**0.5
    attention.v_proj.weight.mul_(0.02)
    for start in range(0, shape.kv_heads * size, size):
        attention.k_proj.weight[start + free[:codes], tokens + 1 : tokens + 1 + codes] = torch.eye(codes)
        attention.v_proj.weight[start : start + size, :tokens] = said
    wanted = torch.zeros(codes, shape.width)
    wanted[: _CODES[0], :tokens] = code[: _CODES[0]]
    first, second = tokens + 1, tokens + 1 + _CODES[0]
    wanted[_CODES[0] : _CODES[0] + _CODES[1], first : first + _CODES[1]] = _EARLIER * torch.eye(_CODES[1])
    wanted[_CODES[0] + _CODES[1] :, second : second + _CODES[2]] = _EARLIER * torch.eye(_CODES[2])
    attention.o_proj.weight.mul_(0.02)
    for head in range(shape.heads // 2):
        query = attention.q_proj.weight[head * size : (head + 1) * size]
        query.mul_(0.02)
        query[free[:codes]] = wanted
        attention.o_proj.weight[:tokens, head * size : (head + 1) * size] = said.T
    layer.post_attention_layernorm.weight.fill_(_COPIED)
