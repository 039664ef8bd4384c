"""What the two models are made of: sizes, and the same as transformers' configurations and as GGUF settings.

It makes no weights. Whatever both graphs must agree on stands here once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gguf import GGUFWriter

SLIDING, FULL = "sliding_attention", "full_attention"
_EPSILON = 1e-6
THETA = {SLIDING: 10_000.0, FULL: 1_000_000.0}
ROTATED = 0.25
"""The share of a full layer's head that positions turn, as in every Gemma 4."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A Gemma 4, or its drafter where ``backbone`` is the target's width (0: a target).

    Layers alternate between sliding and full attention and end with a full one: llama.cpp gives the drafter the KV of
    the last two. The last ``shared`` layers own no KV and read that of the two before them; a drafter's all do.
    ``window`` is the sliding window in tokens, the own one included. ``values_are_keys`` leaves out the value
    projection of full layers, as 12B and larger models have it. ``cap`` 0 leaves the logits as they are.
    """

    vocabulary: int
    width: int = 256
    layers: int = 8
    shared: int = 4
    heads: int = 4
    kv_heads: int = 4
    sliding_head: int = 32
    full_head: int = 64
    hidden: int = 512
    window: int = 256
    context: int = 8192
    cap: float = 30.0
    values_are_keys: bool = False
    backbone: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError where heads cannot be spread over those of the KV: llama.cpp ends the process at it."""
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} heads of KV")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each layer."""
        return tuple((SLIDING, FULL)[number % 2] for number in range(self.layers))

    @property
    def owners(self) -> int:
        """How many layers, from the first on, own KV."""
        return 0 if self.backbone else self.layers - self.shared

    def head(self, layer: int) -> int:
        """The size of a layer's heads."""
        return self.sliding_head if self.kinds[layer] == SLIDING else self.full_head

    def drafter(self, width: int = 128, layers: int = 4, hidden: int = 384) -> Shape:
        """A drafter for this target; it has the target's heads, whose KV it reads."""
        if width == self.width:
            raise ValueError("llama.cpp tells a drafter by its width, which must not be the target's")
        return Shape(
            self.vocabulary, width, layers, layers, self.heads, self.kv_heads, self.sliding_head, self.full_head,
            hidden, self.window, self.context, 0.0, self.values_are_keys, self.width,
        )  # fmt: skip


def text_settings(shape: Shape) -> dict[str, Any]:
    """Arguments for transformers' ``Gemma4TextConfig``."""
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "num_global_key_value_heads": shape.kv_heads,
        "head_dim": shape.sliding_head,
        "global_head_dim": shape.full_head,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": _EPSILON,
        "sliding_window": shape.window,
        "layer_types": list(shape.kinds),
        "final_logit_softcapping": shape.cap or None,
        "num_kv_shared_layers": shape.shared,
        "attention_k_eq_v": shape.values_are_keys,
        # Neither a second table of embeddings with a row for each layer (E2B, E4B) nor experts (26B-A4B).
        "hidden_size_per_layer_input": 0,
        "vocab_size_per_layer_input": 0,
        "enable_moe_block": False,
        "use_double_wide_mlp": False,
        "rope_parameters": {
            SLIDING: {"rope_type": "default", "rope_theta": THETA[SLIDING]},
            FULL: {"rope_type": "proportional", "partial_rotary_factor": ROTATED, "rope_theta": THETA[FULL]},
        },
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
        "tie_word_embeddings": True,
    }


def rotary_factors(shape: Shape) -> list[float]:
    """What llama.cpp divides the angles of a full layer's head by: one for the part that is turned, then no turn."""
    pairs = shape.full_head // 2
    turned = int(ROTATED * shape.full_head // 2)
    return [1.0] * turned + [1e30] * (pairs - turned)


def add_settings(writer: GGUFWriter, shape: Shape) -> None:
    """Write the shape as the settings of a model file, the name of its architecture before each key."""
    prefix = "gemma4-assistant" if shape.backbone else "gemma4"
    numbers = {
        "block_count": shape.layers,
        "context_length": shape.context,
        "embedding_length": shape.width,
        "feed_forward_length": shape.hidden,
        "embedding_length_per_layer_input": 0,
        "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.kv_heads,
        "attention.key_length": shape.full_head,
        "attention.value_length": shape.full_head,
        "attention.key_length_swa": shape.sliding_head,
        "attention.value_length_swa": shape.sliding_head,
        "attention.sliding_window": shape.window,
        "attention.shared_kv_layers": shape.shared,
        # The whole head: which part of it is not turned is said by the factors.
        "rope.dimension_count": shape.full_head,
        "rope.dimension_count_swa": shape.sliding_head,
    }
    if shape.backbone:
        numbers |= {"embedding_length_out": shape.backbone, "nextn_predict_layers": shape.layers}
    for key, value in numbers.items():
        writer.add_uint32(f"{prefix}.{key}", value)
    writer.add_array(f"{prefix}.attention.sliding_window_pattern", [kind == SLIDING for kind in shape.kinds])
    writer.add_float32(f"{prefix}.attention.layer_norm_rms_epsilon", _EPSILON)
    writer.add_float32(f"{prefix}.rope.freq_base", THETA[FULL])
    writer.add_float32(f"{prefix}.rope.freq_base_swa", THETA[SLIDING])
    # Without the setting llama.cpp takes 30.
    writer.add_float32(f"{prefix}.final_logit_softcapping", shape.cap)
