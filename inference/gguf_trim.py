"""Writes a GGUF file once more without some of its tensors, for a llama.cpp that refuses a file because of them.

It changes no setting and no weight, and keeps no copy: where the new file lies, and how long, is the caller's matter.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from inference.gguf_header import GgufHeader

_COUNTS_AT = 8  # behind magic and version: the numbers of tensors and of settings, 8 bytes each
_OFFSET = struct.Struct("<Q")  # the end of an entry in the tensor table


def write_without(path: Path, header: GgufHeader, unwanted: Collection[str], target: BinaryIO) -> None:
    """Write the file ``path``, whose header is ``header``, to ``target`` without the tensors named in ``unwanted``.

    Tensor data must follow each other in a GGUF file, so what lies behind a gap moves up. Raises OSError.
    """
    kept = sorted((t for t in header.tensors if t.name not in unwanted), key=lambda tensor: tensor.offset)
    table = header.tensors[0].entry.start
    with path.open("rb") as source:
        head = bytearray(source.read(table))
        _OFFSET.pack_into(head, _COUNTS_AT, len(kept))
        target.write(head)
        offset = 0
        for tensor in kept:
            source.seek(tensor.entry.start)
            target.write(source.read(len(tensor.entry) - _OFFSET.size) + _OFFSET.pack(offset))
            offset += _padded(tensor.size, header.alignment)
        start = target.tell()
        target.write(bytes(_padded(start, header.alignment) - start))
        for tensor in kept:
            source.seek(header.data_start + tensor.offset)
            _copy(source, target, tensor.size)
            target.write(bytes(_padded(tensor.size, header.alignment) - tensor.size))


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    piece = 1 << 20
    while size > 0:
        data = source.read(min(piece, size))
        if not data:
            raise OSError("the file ended early")
        target.write(data)
        size -= len(data)
