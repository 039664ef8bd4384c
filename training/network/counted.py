"""Reads a target where only some rows are asked for: what training does, where most of a sample is read and not said.

The last layers own no KV, so a row that nobody asks for ends at the last one that does: it needs no queries there and
nothing behind it. The result is that of ``training.network.models.read``, picked out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.gemma4.modeling_gemma4 import apply_rotary_pos_emb

from training.network.models import Kv
from training.shape import FULL, SLIDING, Shape

_Turn = tuple[Tensor, Tensor]  # cosines and sines, (batch, rows, head)
_Pair = tuple[Tensor, Tensor]  # keys and values of a layer, (batch, heads, rows, head)
_Turns = dict[str, _Turn]  # by kind of layer


def counted_rows(target: Any, shape: Shape, ids: Tensor, wanted: Tensor, shared: int = 0) -> tuple[Tensor, Kv]:
    """Hidden rows behind the last norm, (batch, wanted, width), of the places ``wanted`` (batch, wanted) in ``ids``
    (batch, tokens); and the KV by kind of layer that a drafter reads, of all ids.

    The first ``shared`` ids are the same in the whole batch, and none of them is wanted: they are read once.
    """
    model = target.model
    last = shape.owners - 1
    places = torch.arange(ids.shape[1], device=ids.device)[None]
    hidden = model.embed_tokens(ids[:, shared:])
    turns: _Turns = {kind: model.rotary_emb(hidden, places, kind) for kind in (SLIDING, FULL)}
    before: Sequence[_Pair | None] = [None] * shape.owners
    if shared:
        early: _Turns = {kind: (cos[:, :shared], sin[:, :shared]) for kind, (cos, sin) in turns.items()}
        before = _owners(model, shape, model.embed_tokens(ids[:1, :shared]), early, before)[1]
    late: _Turns = {kind: (cos[:, shared:], sin[:, shared:]) for kind, (cos, sin) in turns.items()}
    hidden, owned = _owners(model, shape, hidden, late, before)
    kv = {shape.kinds[number]: _joined(before[number], owned[number]) for number in range(max(0, last - 1), last + 1)}
    hidden = hidden.gather(1, (wanted - shared)[..., None].expand(-1, -1, hidden.shape[-1]))
    few: _Turns = {kind: (cos[0][wanted], sin[0][wanted]) for kind, (cos, sin) in turns.items()}
    full = places[:, None] <= wanted[..., None]
    masks = {FULL: full, SLIDING: full & (places[:, None] > wanted[..., None] - shape.window)}
    for number, layer in enumerate(model.layers[last:], start=last):
        kind = shape.kinds[number]
        queries = _queries(layer, layer.input_layernorm(hidden), few[kind])
        hidden = _behind(layer, hidden, _attend(queries, *kv[kind], masks[kind][:, None]))
    return model.norm(hidden), kv


def _owners(
    model: Any, shape: Shape, hidden: Tensor, turns: _Turns, before: Sequence[_Pair | None]
) -> tuple[Tensor, list[_Pair]]:
    """The rows that go into the last layer that owns KV, and the KV of all that do, behind what was read ``before``."""
    owned: list[_Pair] = []
    for number, layer in enumerate(model.layers[: shape.owners]):
        kind = shape.kinds[number]
        normed = layer.input_layernorm(hidden)
        owned.append(_keys_and_values(layer, normed, turns[kind]))
        if number < shape.owners - 1:
            queries = _queries(layer, normed, turns[kind])
            look = _near if kind == SLIDING else _all
            hidden = _behind(layer, hidden, look(queries, owned[number], before[number], shape.window))
    return hidden, owned


def _joined(before: _Pair | None, own: _Pair) -> _Pair:
    """Keys and values of what the whole batch shares, then of each sample."""
    if before is None:
        return own
    first, second = (torch.cat((b.expand(len(o), -1, -1, -1), o), 2) for b, o in zip(before, own, strict=True))
    return first, second


def _heads(rows: Tensor, size: int) -> Tensor:
    return rows.unflatten(-1, (-1, size))


def _turned(heads: Tensor, turn: _Turn) -> Tensor:
    """Heads (batch, rows, heads, size), turned by their places, as (batch, heads, rows, size)."""
    return apply_rotary_pos_emb(heads, *turn, unsqueeze_dim=2).transpose(1, 2)


def _queries(layer: Any, normed: Tensor, turn: _Turn) -> Tensor:
    attention = layer.self_attn
    return _turned(attention.q_norm(_heads(attention.q_proj(normed), attention.head_dim)), turn)


def _keys_and_values(layer: Any, normed: Tensor, turn: _Turn) -> _Pair:
    attention = layer.self_attn
    keys = _heads(attention.k_proj(normed), attention.head_dim)
    values = keys if attention.v_proj is None else _heads(attention.v_proj(normed), attention.head_dim)
    return _turned(attention.k_norm(keys), turn), attention.v_norm(values).transpose(1, 2)


def _attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """What heads see of keys; without a mask each row those up to itself."""
    every = queries.shape[1] // keys.shape[1]
    keys, values = (each.repeat_interleave(every, 1) for each in (keys, values))
    return functional.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask, is_causal=mask is None, scale=1.0
    )


def _all(queries: Tensor, own: _Pair, before: _Pair | None, _: int) -> Tensor:
    """Every row sees those up to itself."""
    if before is None:
        return _attend(queries, *own, None)
    rows, earlier = queries.shape[2], before[0].shape[2]
    mask = torch.ones(rows, earlier + rows, dtype=torch.bool, device=queries.device).tril(earlier)
    return _attend(queries, *_joined(before, own), mask)


def _near(queries: Tensor, own: _Pair, before: _Pair | None, window: int) -> Tensor:
    """Every row sees the last ``window`` up to itself: windows beside each other are looked at as samples of their own,
    each with the keys of the one before."""
    batch, _, rows, _ = queries.shape
    count = -(-rows // window)

    def windows(each: Tensor) -> Tensor:
        padded = functional.pad(each, (0, 0, 0, count * window - rows))
        return padded.unflatten(2, (count, window)).transpose(1, 2)  # (batch, count, heads, window, size)

    def with_last(each: Tensor, earlier: Tensor | None) -> Tensor:
        inside = windows(each)
        first = torch.zeros_like(inside[:, :1])
        if earlier is not None:
            near = earlier[:, :, -window:].expand(batch, -1, -1, -1)
            first = functional.pad(near, (0, 0, window - near.shape[2], 0))[:, None]
        return torch.cat((torch.cat((first, inside[:, :-1]), 1), inside), 3).flatten(0, 1)

    row = torch.arange(window, device=queries.device)[:, None]
    key = torch.arange(2 * window, device=queries.device)[None]
    seen = (key > row) & (key <= row + window)
    there = window - min(window, before[0].shape[2] if before else 0)  # the first key of the first window that is one
    mask = torch.cat(((seen & (key >= there))[None], seen[None].expand(count - 1, -1, -1)))
    keys, values = (with_last(own[each], before[each] if before else None) for each in (0, 1))
    found = _attend(windows(queries).flatten(0, 1), keys, values, mask.repeat(batch, 1, 1)[:, None])
    return found.unflatten(0, (batch, count)).transpose(1, 2).flatten(2, 3)[:, :, :rows]


def _behind(layer: Any, hidden: Tensor, seen: Tensor) -> Tensor:
    """A layer's rows from what its heads saw, (batch, heads, rows, size)."""
    told = layer.self_attn.o_proj(seen.transpose(1, 2).flatten(2))
    hidden = hidden + layer.post_attention_layernorm(told)
    told = layer.mlp(layer.pre_feedforward_layernorm(hidden))
    return (hidden + layer.post_feedforward_layernorm(told)) * layer.layer_scalar
