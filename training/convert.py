"""Writes trained weights as model files for llama.cpp, in float32 or quantised.

It trains nothing and needs no PyTorch: weights come as arrays under transformers' names. Nothing is transposed, turned
or shifted on the way: llama.cpp takes projections as (out, in), rotates the two halves of a head as transformers does,
and Gemma 4's norms are factors themselves, not differences from one as Gemma 3's are.

    python -m training.convert --weights run/target.npz --vocabulary run/vocabulary.gguf --out run/target.gguf

With a name that ends with .npz for ``--out`` it keeps the weights themselves, in 16 bits, for a training to go on from.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from gguf.quants import quantize

from training.shape import Shape, add_settings, rotary_factors
from training.vocabulary import Vocabulary, read_vocabulary

Array = npt.NDArray[np.float32]
Weights = Mapping[str, Array]
"""Parameters by their names in ``Gemma4ForCausalLM`` or ``Gemma4AssistantForCausalLM``; tied ones once."""

_LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "post_attention_layernorm.weight": "post_attention_norm.weight",
    "pre_feedforward_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "post_feedforward_layernorm.weight": "post_ffw_norm.weight",
    "layer_scalar": "layer_output_scale.weight",
}
_OTHERS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "pre_projection.weight": "nextn.pre_projection.weight",
    "post_projection.weight": "nextn.post_projection.weight",
}
_TIED = "lm_head.weight"  # the embeddings once more
_FILE_TYPES = {
    GGMLQuantizationType.F32: LlamaFileType.ALL_F32,
    GGMLQuantizationType.Q8_0: LlamaFileType.MOSTLY_Q8_0,
    GGMLQuantizationType.Q4_0: LlamaFileType.MOSTLY_Q4_0,
}


def named(weights: Weights) -> Iterator[tuple[str, Array]]:
    """The weights under llama.cpp's names, in their order; raises KeyError for one that has no place there."""
    for name, array in weights.items():
        if name == _TIED:
            continue
        if name in _OTHERS:
            yield _OTHERS[name], array
            continue
        number, _, rest = name.removeprefix("model.layers.").partition(".")
        yield f"blk.{number}.{_LAYER[rest]}", array


def write_model(
    path: Path, name: str, model: tuple[Shape, Weights], vocabulary: Vocabulary, kind: GGMLQuantizationType
) -> None:
    """Write a model file that people know as ``name``.

    Matrices are stored as ``kind`` (F32, Q8_0 or Q4_0), norms as float32; with Q4_0 the embeddings, which are the
    output too, have Q8_0. Raises ValueError where vocabulary and shape differ.
    """
    shape, weights = model
    if len(vocabulary.tokens) != shape.vocabulary:
        raise ValueError(f"the model has {shape.vocabulary} tokens, the vocabulary {len(vocabulary.tokens)}")
    writer = GGUFWriter(path, "gemma4-assistant" if shape.backbone else "gemma4")
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_file_type(_FILE_TYPES[kind])
    writer.add_quantization_version(2)
    add_settings(writer, shape)
    vocabulary.add_to(writer)
    for tensor, array in named(weights):
        wide = kind if array.ndim == 2 else GGMLQuantizationType.F32
        if tensor == "token_embd.weight" and kind is GGMLQuantizationType.Q4_0:
            wide = GGMLQuantizationType.Q8_0
        if wide is GGMLQuantizationType.F32:
            writer.add_tensor(tensor, np.ascontiguousarray(array, np.float32))
        else:
            writer.add_tensor(tensor, quantize(array.astype(np.float32), wide), raw_dtype=wide)
    writer.add_tensor("rope_freqs.weight", np.array(rotary_factors(shape), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def save_weights(path: Path, shape: Shape, weights: Weights, *, half: bool = False) -> None:
    """Keep weights and shape in one file, with ``half`` in 16 bits; the old one stays until the new one is whole."""
    draft = path.with_suffix(".tmp.npz")
    kept = {name: array.astype(np.float16) for name, array in weights.items()} if half else weights
    arrays: dict[str, Any] = {"shape": np.frombuffer(json.dumps(asdict(shape)).encode(), np.uint8), **kept}
    (np.savez_compressed if half else np.savez)(draft, **arrays)
    draft.replace(path)


def load_weights(path: Path) -> tuple[Shape, dict[str, Array]]:
    """What ``save_weights`` kept, in 32 bits."""
    with np.load(path) as file:
        shape = Shape(**json.loads(file["shape"].tobytes()))
        return shape, {name: file[name].astype(np.float32) for name in file.files if name != "shape"}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, help="a GGUF file that holds the vocabulary, for a model file")
    parser.add_argument("--out", type=Path, required=True, help="a model file, or *.npz for the weights in 16 bits")
    parser.add_argument("--name", default="Gemma 4 nano")
    parser.add_argument("--type", choices=["F32", "Q8_0", "Q4_0"], default="Q8_0")
    args = parser.parse_args()
    model, kind = load_weights(args.weights), args.type
    if args.out.suffix == ".npz":
        kind = "F16"
        save_weights(args.out, *model, half=True)
    elif args.vocabulary is None:
        parser.error("a model file needs --vocabulary")
    else:
        write_model(args.out, args.name, model, read_vocabulary(args.vocabulary), GGMLQuantizationType[kind])
    print(json.dumps({"file": args.out.name, "type": kind, "bytes": args.out.stat().st_size}))


if __name__ == "__main__":
    main()
