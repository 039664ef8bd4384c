"""Writes small Gemma 4 models with constructed weights: the real architecture without a download.

They speak no language: a model answers token t with a fixed partner of t, pulled about by what its attention sees.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

REAL_VOCABULARY = Path(__file__).parents[1] / "../shared/data/ggml-vocab-gemma-4.gguf"
RECIPE = 3  # part of the cached files' names; raise it when the weights change

FloatArray = npt.NDArray[np.float32]
_NORMAL, _CONTROL, _USER_DEFINED, _BYTE = 1, 3, 4, 6  # token types in a GGUF file
_MARKERS = {
    0: ("<pad>", _CONTROL),
    1: ("<eos>", _CONTROL),
    2: ("<bos>", _CONTROL),
    3: ("<unk>", _CONTROL),
    4: ("<mask>", _CONTROL),
    46: ("<|tool>", _CONTROL),
    47: ("<tool|>", _CONTROL),
    48: ("<|tool_call>", _USER_DEFINED),
    49: ("<tool_call|>", _USER_DEFINED),
    50: ("<|tool_response>", _USER_DEFINED),
    51: ("<tool_response|>", _USER_DEFINED),
    52: ('<|"|>', _USER_DEFINED),
    98: ("<|think|>", _CONTROL),
    100: ("<|channel>", _USER_DEFINED),
    101: ("<channel|>", _USER_DEFINED),
    105: ("<|turn>", _CONTROL),
    106: ("<turn|>", _CONTROL),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One model. Sliding and full layers alternate and end with a full one, as the drafter needs it.

    ``window`` is the sliding window in tokens; ``shared_layers`` layers at the end own no KV; ``context_gain`` is how
    strongly attention moves the logits away from the fixed partner. At 0.5 a wrong cache changes logits by several
    units, while the best token keeps a margin of 0.5 over noise of 0.01; at 0.8 a tenth of the tokens are no partners
    and one in fifty is a near-tie; at 0.1 a drafter is nearly always right. ``sharpness`` scales the logits: at 1.0 a
    draw at temperature 1 has many likely outcomes.
    """

    window: int = 32
    layers: int = 4
    shared_layers: int = 0
    width: int = 64
    context_gain: float = 0.5
    sharpness: float = 3.0
    seed: int = 1
    real_vocabulary: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens, their types, and BPE merges, as raw bytes."""

    tokens: list[bytes]
    types: list[int]
    merges: list[bytes]


def target(shape: Shape | None = None, folder: Path | None = None) -> Path:
    """The path of a ``gemma4`` model of this shape, written at the first call (``folder``: a cache in the temp dir)."""
    shape = shape or Shape()
    return _cached("target", shape, folder, _write_target)


def drafter(shape: Shape | None = None, folder: Path | None = None, knows: float = 1.0, *, centroids: int = 0) -> Path:
    """The path of the ``gemma4-assistant`` for ``target(shape)``: it knows the partners, not the context.

    ``knows`` is the share of tokens whose partner it knows; for the others it guesses wrong. So it is the share of
    drafted tokens that are accepted, where the target itself follows the partners (a small ``context_gain``).
    With ``centroids`` it has a head of so many, as those of E2B and E4B have.
    """
    shape = shape or Shape()
    kind = f"drafter {knows} {centroids}" if centroids else f"drafter {knows}"
    return _cached(kind, shape, folder, partial(_write_drafter, knows=knows, centroids=centroids))


def _cached(kind: str, shape: Shape, folder: Path | None, write: Callable[[Path, Shape], None]) -> Path:
    folder = folder or Path(tempfile.gettempdir()) / f"gemma-agent-constructed-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(repr((RECIPE, kind, sorted(asdict(shape).items()))).encode()).hexdigest()[:12]
    path = folder / f"gemma4-{kind.split()[0]}-{key}.gguf"
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        write(draft, shape)
        draft.replace(path)
    return path


def small_vocabulary() -> Vocabulary:
    """Gemma 4's ids 0 to 493 (markers, runs of newlines and spaces, HTML tags left unused, bytes), then ASCII."""
    tokens = [f"<unused{i}>".encode() for i in range(238)]
    types = [_NORMAL] * 238
    for token_id, (written, kind) in _MARKERS.items():
        tokens[token_id], types[token_id] = written.encode(), kind
    for count in range(1, 32):
        tokens[106 + count] = b"\n" * count
    for count in range(2, 32):
        tokens[136 + count] = "▁".encode() * count
    tokens += [f"<0x{value:02X}>".encode() for value in range(256)]
    types += [_BYTE] * 256
    text = ["▁", "\t", *map(chr, range(0x21, 0x7F))]
    tokens += [character.encode() for character in text]
    types += [_NORMAL] * len(text)
    runs = [(a * n, a) for a in ("\n", "▁") for n in range(1, 31)]
    return Vocabulary(tokens, types, [f"{left} {right}".encode() for left, right in runs])


def real_vocabulary(path: Path = REAL_VOCABULARY) -> Vocabulary:
    """The vocabulary of a GGUF file, read without a library: theirs takes 40 s for 262,144 tokens, this one second."""
    arrays = dict(_string_arrays(path.read_bytes()))
    names = ("tokens", "token_type", "merges")
    return Vocabulary(*(arrays[f"tokenizer.ggml.{name}"] for name in names))


def _string_arrays(data: bytes) -> Iterator[tuple[str, list[Any]]]:
    """Keys and values of the arrays of strings and of 32-bit integers in a GGUF header."""
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    long = struct.Struct("<Q").unpack_from
    at = 24
    for _ in range(long(data, 16)[0]):
        key = data[at + 8 : at + 8 + long(data, at)[0]].decode()
        at += 8 + len(key)
        kind = data[at]
        at += 4
        if kind == 8:
            at += 8 + long(data, at)[0]
        elif kind != 9:
            at += sizes[kind]
        else:
            element, count = data[at], long(data, at + 4)[0]
            at += 12
            if element != 8:
                if element in (4, 5):
                    yield key, list(struct.unpack_from(f"<{count}i", data, at))
                at += count * sizes[element]
                continue
            values: list[bytes] = []
            for _ in range(count):
                end = at + 8 + long(data, at)[0]
                values.append(data[at + 8 : end])
                at = end
            yield key, values


class _Weights:
    """Random matrices in float32 from one seed, and the partner table that target and drafter share."""

    def __init__(self, shape: Shape, n_vocab: int) -> None:
        self._random = np.random.default_rng(shape.seed)
        self.embedding = self.matrix(n_vocab, shape.width)
        self.partner = self._random.permutation(n_vocab)

    def guesses(self, knows: float) -> npt.NDArray[np.intp]:
        """For each token its partner, but for a share of 1 - ``knows``: those have each other's partners."""
        guesses = self.partner.copy()
        strangers = np.random.default_rng(0).permutation(guesses.size)[: round((1 - knows) * guesses.size)]
        guesses[strangers] = np.roll(guesses[strangers], 1)
        return guesses

    def matrix(self, rows: int, columns: int) -> FloatArray:
        """Rows of length about 1, so that a row times a vector of unit variance has unit variance."""
        return (self._random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)


def _write_target(path: Path, shape: Shape) -> None:
    vocabulary = real_vocabulary() if shape.real_vocabulary else small_vocabulary()
    weights = _Weights(shape, len(vocabulary.tokens))
    writer = GGUFWriter(path, "gemma4")
    writer.add_name("Constructed Gemma 4")
    _add_settings(writer, "gemma4", shape)
    writer.add_uint32("gemma4.attention.shared_kv_layers", shape.shared_layers)
    _add_vocabulary(writer, vocabulary)
    _add_rows(writer, "token_embd.weight", weights.embedding, shape)
    # The row of t's partner is the embedding of t, three times as long as chance (by default): a margin that noise
    # does not cross.
    output = np.empty_like(weights.embedding)
    output[weights.partner] = weights.embedding
    _add_rows(writer, "output.weight", np.float32(shape.sharpness) * output, shape)
    writer.add_tensor("output_norm.weight", np.ones(shape.width, np.float32))
    for layer in range(shape.layers):
        _add_layer(writer, weights, shape, layer)
    _finish(writer)


def _write_drafter(path: Path, shape: Shape, knows: float, centroids: int) -> None:
    vocabulary = real_vocabulary() if shape.real_vocabulary else small_vocabulary()
    weights = _Weights(shape, len(vocabulary.tokens))
    own = replace(shape, width=shape.width // 2, layers=2, shared_layers=2, context_gain=0.01)
    writer = GGUFWriter(path, "gemma4-assistant")
    writer.add_name("Constructed Gemma 4 drafter")
    _add_settings(writer, "gemma4-assistant", own)
    writer.add_uint32("gemma4-assistant.embedding_length_out", shape.width)
    writer.add_uint32("gemma4-assistant.nextn_predict_layers", own.layers)
    _add_vocabulary(writer, vocabulary)
    # From [embedding of t, hidden state] it keeps a projection of the embedding; the partner's row is that projection.
    projection = weights.matrix(own.width, shape.width)
    rows = np.empty((len(vocabulary.tokens), own.width), np.float32)
    rows[weights.guesses(knows)] = weights.embedding @ projection.T
    _add_rows(writer, "token_embd.weight", rows, shape)
    if centroids:
        writer.add_tensor("masked_embd_centroids.weight", weights.matrix(centroids, own.width))
        writer.add_tensor("masked_embd_ordering", np.argsort(weights.partner).astype(np.int32))
    writer.add_tensor("nextn.pre_projection.weight", np.hstack([projection, np.zeros_like(projection)]))
    writer.add_tensor("nextn.post_projection.weight", weights.matrix(shape.width, own.width))
    writer.add_tensor("output_norm.weight", np.ones(own.width, np.float32))
    for layer in range(own.layers):
        _add_layer(writer, weights, own, layer)
        writer.add_tensor(f"blk.{layer}.layer_output_scale.weight", np.ones(1, np.float32))
    _finish(writer)


def _add_rows(writer: GGUFWriter, name: str, rows: FloatArray, shape: Shape) -> None:
    """A row for each token; in Q8_0 where the vocabulary is the real one, as real drafters have it."""
    if not shape.real_vocabulary:
        writer.add_tensor(name, rows)
        return
    writer.add_tensor(name, quantize(rows, GGMLQuantizationType.Q8_0), raw_dtype=GGMLQuantizationType.Q8_0)


def _head_size(layer: int) -> int:
    return 32 if _slides(layer) else 64


def _slides(layer: int) -> bool:
    return layer % 2 == 0


def _add_settings(writer: GGUFWriter, prefix: str, shape: Shape) -> None:
    for key, value in {
        "block_count": shape.layers,
        "context_length": 32_768,
        "embedding_length": shape.width,
        "feed_forward_length": 2 * shape.width,
        "embedding_length_per_layer_input": 0,
        "attention.head_count": 2,
        "attention.head_count_kv": 1,
        "attention.key_length": _head_size(1),
        "attention.value_length": _head_size(1),
        "attention.key_length_swa": _head_size(0),
        "attention.value_length_swa": _head_size(0),
        "attention.sliding_window": shape.window,
        "rope.dimension_count": _head_size(1),
        "rope.dimension_count_swa": _head_size(0),
    }.items():
        writer.add_uint32(f"{prefix}.{key}", value)
    writer.add_array(f"{prefix}.attention.sliding_window_pattern", [_slides(i) for i in range(shape.layers)])
    writer.add_float32(f"{prefix}.attention.layer_norm_rms_epsilon", 1e-6)
    writer.add_float32(f"{prefix}.rope.freq_base", 1_000_000.0)
    writer.add_float32(f"{prefix}.rope.freq_base_swa", 10_000.0)


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_array("tokenizer.ggml.merges", vocabulary.merges)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)


def _add_layer(writer: GGUFWriter, weights: _Weights, shape: Shape, layer: int) -> None:
    width, head, block = shape.width, _head_size(layer), f"blk.{layer}."
    ones = np.ones(width, np.float32)
    writer.add_tensor(block + "attn_norm.weight", ones)
    writer.add_tensor(block + "attn_q.weight", weights.matrix(2 * head, width))
    writer.add_tensor(block + "attn_output.weight", weights.matrix(width, 2 * head))
    # Half-length queries: attention that is sharp enough to depend on single tokens and soft enough to be stable.
    writer.add_tensor(block + "attn_q_norm.weight", np.full(head, 0.5, np.float32))
    writer.add_tensor(block + "post_attention_norm.weight", shape.context_gain * ones)
    if layer < shape.layers - shape.shared_layers:
        writer.add_tensor(block + "attn_k.weight", weights.matrix(head, width))
        writer.add_tensor(block + "attn_v.weight", weights.matrix(head, width))
        writer.add_tensor(block + "attn_k_norm.weight", np.ones(head, np.float32))
    if layer == 1:  # one tensor serves all full layers
        writer.add_tensor("rope_freqs.weight", np.ones(head // 2, np.float32))
    writer.add_tensor(block + "ffn_norm.weight", ones)
    writer.add_tensor(block + "ffn_gate.weight", weights.matrix(2 * width, width))
    writer.add_tensor(block + "ffn_up.weight", weights.matrix(2 * width, width))
    writer.add_tensor(block + "ffn_down.weight", weights.matrix(width, 2 * width))
    writer.add_tensor(block + "post_ffw_norm.weight", 0.3 * shape.context_gain * ones)


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
