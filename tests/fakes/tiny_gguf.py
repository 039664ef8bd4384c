"""Writes small GGUF files byte by byte, so that tests need neither weights nor a library that writes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

Value = int | float | bool | str | Sequence[int] | Sequence[bool] | Sequence[str]

QWEN: dict[str, Value] = {
    "general.architecture": "qwen2",
    "general.name": "Tiny Qwen",
    "general.file_type": 15,
    "qwen2.block_count": 28,
    "qwen2.context_length": 32768,
    "qwen2.embedding_length": 1536,
    "qwen2.attention.head_count": 12,
    "qwen2.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["<a>", "b", "ü"],
}


def gguf_bytes(metadata: Mapping[str, Value] = QWEN, rows: int = 64, version: int = 3) -> bytes:
    """A GGUF file with one F32 tensor of ``rows`` x 8 values (none when 0)."""
    out = bytearray(b"GGUF" + struct.pack("<IQQ", version, 1 if rows else 0, len(metadata)))
    for key, value in metadata.items():
        out += _text(key) + _value(value)
    if rows:
        out += _text("token_embd.weight") + struct.pack("<IQQIQ", 2, 8, rows, 0, 0)
        out += bytes(-len(out) % 32)
        out += bytes(range(256)) * (rows * 32 // 256) + bytes(rows * 32 % 256)
    return bytes(out)


def write_gguf(path: Path, metadata: Mapping[str, Value] = QWEN, rows: int = 64) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes(metadata, rows))
    return path


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    kind, items = 4, [struct.pack("<I", item) for item in value if isinstance(item, int)]
    if value and isinstance(value[0], bool):
        kind, items = 7, [struct.pack("<?", item) for item in value]
    elif value and isinstance(value[0], str):
        kind, items = 8, [_text(str(item)) for item in value]
    return struct.pack("<IIQ", 9, kind, len(items)) + b"".join(items)
