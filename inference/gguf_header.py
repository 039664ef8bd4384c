"""Reads the header of a GGUF file: what the model is, how large, and whether the file is whole.

It never reads weights, builds no vocabulary, and needs nothing of llama.cpp; a damaged file is always a ModelLoadError.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from inference.errors import ModelLoadError

# Bounds that no real file reaches (the largest vocabularies have 262,144 tokens and twice as many merges):
# a damaged count must not become minutes of work or gigabytes of memory.
MAX_PAIRS = 4_096
MAX_ARRAY = 1 << 22
MAX_ELEMENTS = 1 << 23
MAX_KEY_BYTES = 1 << 16
MAX_TEXT_BYTES = 1 << 20
MAX_TENSORS = 1 << 16
MAX_LAYERS = 4_096
MAX_CONTEXT = 1 << 31
MAX_TENSOR_ELEMENTS = 1 << 48
MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
KEPT_ARRAY = 1_024  # longer arrays are skipped, not built; per-layer arrays have at most a few hundred entries

_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")

# ggml tensor type -> (elements a block, bytes a block); ggml.h and ggml-common.h of llama.cpp.
TENSOR_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36),
}  # fmt: skip

# general.file_type -> the name people use (llama.h, enum llama_ftype).
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS",
    20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
    28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SkippedArray:
    """Stands in the metadata for an array that is not built; ``count`` is its length.

    ``checksum`` is the CRC-32 of the texts in it, 0 for numbers.
    """

    count: int
    checksum: int = 0


Scalar = int | float | bool | str
MetadataValue = Scalar | tuple[Scalar, ...] | SkippedArray


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """One tensor: its entry in the tensor table (bytes ``entry`` of the file), and its data behind ``data_start``."""

    name: str
    entry: range
    elements: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header of one GGUF file says.

    ``expected_bytes`` is where the last tensor ends: a shorter file is truncated (``read_header`` checks it).
    """

    version: int
    metadata: dict[str, MetadataValue]
    tensors: tuple[TensorPlace, ...]
    alignment: int
    data_start: int
    expected_bytes: int

    @property
    def tensor_count(self) -> int:
        """How many tensors there are."""
        return len(self.tensors)

    @property
    def tensor_bytes(self) -> int:
        """The size of all tensors together."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def parameters(self) -> int:
        """The elements of all tensors together."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def n_experts(self) -> int:
        """How many feed-forward networks a layer chooses from; 0 in a dense model."""
        return self.integer(f"{self.architecture}.expert_count")

    @property
    def architecture(self) -> str:
        """``general.architecture``: ``gemma4``, ``qwen2``, ...; empty when absent."""
        return self.text("general.architecture")

    @property
    def name(self) -> str:
        """``general.name``; empty when absent."""
        return self.text("general.name")

    @property
    def quantization(self) -> str:
        """The quantisation as people name it (``Q4_K_M``); ``type N`` for one that is not known here."""
        number = self.integer("general.file_type", -1)
        return _FILE_TYPES.get(number, f"type {number}" if number >= 0 else "")

    @property
    def n_layers(self) -> int:
        """Transformer blocks; 0 when absent."""
        return self.integer(f"{self.architecture}.block_count")

    @property
    def context_length(self) -> int:
        """The context in tokens that the model was made for; 0 when absent."""
        return self.integer(f"{self.architecture}.context_length")

    @property
    def n_vocab(self) -> int:
        """Entries of the vocabulary; 0 when absent."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, SkippedArray):
            return tokens.count
        return len(tokens) if isinstance(tokens, tuple) else 0

    def text(self, key: str) -> str:
        """The string stored under ``key``; empty when absent or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def integer(self, key: str, default: int = 0) -> int:
        """The integer stored under ``key``; ``default`` when absent or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def per_layer(self, key: str, default: int = 0) -> tuple[int, ...]:
        """The value of ``key`` for each layer, whether the file holds one number or an array of them."""
        value = self.metadata.get(key)
        if isinstance(value, tuple) and len(value) >= self.n_layers:
            return tuple(int(item) if isinstance(item, int) else default for item in value[: self.n_layers])
        return (self.integer(key, default),) * self.n_layers


def read_header(path: Path) -> GgufHeader:
    """The header of the GGUF file ``path``.

    Raises ModelLoadError, one sentence, when the file is missing, unreadable, not a GGUF, truncated or damaged.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if file.read(4) != b"GGUF":
                raise ModelLoadError(f"{path} is not a GGUF model file; give the path of a .gguf file.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _Reader(data, path).header()
    except FileNotFoundError:
        raise ModelLoadError(f"There is no model file {path}; check the path, or run: agent models list.") from None
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"The model file {path} cannot be read ({error}); check what it is.") from None
    if size < header.expected_bytes:
        raise ModelLoadError(
            f"The model file {path} is truncated: it has {size:,} bytes of {header.expected_bytes:,}; "
            "remove it and fetch it again."
        )
    return header


class _Reader:
    """A cursor over the mapped file; every step is checked against the file's end."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._size = len(data)
        self._path = path
        self._at = 4
        self._elements = 0

    def header(self) -> GgufHeader:
        version = self._number("I")
        if version not in (2, 3):
            raise self._damaged(f"GGUF version {version} is not 2 or 3")
        n_tensors, n_pairs = self._number("Q"), self._number("Q")
        if n_tensors > MAX_TENSORS or n_pairs > MAX_PAIRS:
            raise self._damaged(f"{n_tensors} tensors and {n_pairs} settings")
        metadata = dict(self._pair() for _ in range(n_pairs))
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 16 or alignment & (alignment - 1):
            raise self._damaged(f"alignment {alignment}")
        tensors = tuple(self._tensor() for _ in range(n_tensors))
        start = -(-self._at // alignment) * alignment
        # A file without tensors (a vocabulary) may end right behind its settings.
        expected = max((start + tensor.offset + tensor.size for tensor in tensors), default=self._at)
        header = GgufHeader(version, metadata, tensors, alignment, start, expected)
        if not (0 <= header.n_layers <= MAX_LAYERS and 0 <= header.context_length <= MAX_CONTEXT):
            raise self._damaged(f"{header.n_layers} layers, a context of {header.context_length}")
        return header

    def _damaged(self, what: str) -> ModelLoadError:
        return ModelLoadError(f"The model file {self._path} is damaged ({what}); remove it and fetch it again.")

    def _take(self, count: int) -> int:
        """Move behind the next ``count`` bytes and return where they start."""
        start = self._at
        if count > self._size - start:
            raise ModelLoadError(
                f"The model file {self._path} is truncated or damaged: its header does not end within the file's "
                f"{self._size:,} bytes; remove it and fetch it again."
            )
        self._at = start + count
        return start

    def _number(self, code: Literal["I", "Q"]) -> int:
        layout = struct.Struct("<" + code)
        return layout.unpack_from(self._data, self._take(layout.size))[0]

    def _text(self, limit: int) -> str:
        length = self._number("Q")
        if length > limit:
            raise self._damaged(f"a text of {length} bytes")
        start = self._take(length)
        return self._data[start : self._at].decode("utf-8", "replace")

    def _pair(self) -> tuple[str, MetadataValue]:
        key = self._text(MAX_KEY_BYTES)
        kind = self._number("I")
        return key, self._array() if kind == _ARRAY else self._scalar(kind)

    def _scalar(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self._text(MAX_TEXT_BYTES)
        if kind not in _FORMATS:
            raise self._damaged(f"a value of unknown type {kind}")
        layout = struct.Struct("<" + _FORMATS[kind])
        return cast("Scalar", layout.unpack_from(self._data, self._take(layout.size))[0])

    def _array(self) -> MetadataValue:
        kind, count = self._number("I"), self._number("Q")
        self._elements += count
        if count > MAX_ARRAY or self._elements > MAX_ELEMENTS:
            raise self._damaged(f"an array of {count} entries")
        if kind == _STRING:
            start = self._at
            self._skip_texts(count)
            return SkippedArray(count, zlib.crc32(self._data[start : self._at]))
        if kind not in _FORMATS:
            raise self._damaged(f"an array of unknown type {kind}")
        layout = struct.Struct(f"<{count}{_FORMATS[kind]}")
        start = self._take(layout.size)
        if count > KEPT_ARRAY:
            return SkippedArray(count)
        return cast("tuple[Scalar, ...]", layout.unpack_from(self._data, start))

    def _skip_texts(self, count: int) -> None:
        """Step over ``count`` strings. The tight loop is the whole cost of reading a header: ~0.1 µs a string."""
        data, size, at, length_at = self._data, self._size, self._at, _LENGTH.unpack_from
        last = size - _LENGTH.size
        for _ in range(count):
            if at > last:
                break
            at += 8 + length_at(data, at)[0]
        else:
            if at <= size:
                self._at = at
                return
        self._take(size)  # beyond the end: raises

    def _tensor(self) -> TensorPlace:
        begin = self._at
        name = self._text(MAX_KEY_BYTES)
        n_dimensions = self._number("I")
        if n_dimensions > MAX_DIMENSIONS:
            raise self._damaged(f"tensor {name[:64]!r} of {n_dimensions} dimensions")
        elements = 1
        for _ in range(n_dimensions):
            elements *= self._number("Q")
        kind, offset = self._number("I"), self._number("Q")
        if elements > MAX_TENSOR_ELEMENTS:
            raise self._damaged(f"tensor {name[:64]!r} of {elements} elements")
        if kind not in TENSOR_TYPES:
            raise self._damaged(f"tensor {name[:64]!r} of unknown type {kind}, or newer than this program")
        block, block_bytes = TENSOR_TYPES[kind]
        size = -(-elements // block) * block_bytes
        return TensorPlace(name, range(begin, self._at), elements, offset, size)
