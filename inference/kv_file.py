"""One KV sequence as a file: its format, a whole verification before anything of it is used, and an atomic write.

It knows no folder, no budget and no llama.cpp; ``inference.kv_store`` decides what is kept.

Layout, integers little-endian: a prelude (magic, format version, length of the head, length of the file, sha256 of the
head), the head (JSON, then the token ids as int32), the payload (the sequence's state, then its checkpoints). The head
holds the sha256 of the payload, taken over the digests of its chunks, so several cores can work at it. llama.cpp aborts
the process on many damaged states, so a file is read into memory and verified to its last byte before any is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.int32]

MAGIC = b"AGENT-KV"
VERSION = 1
_PRELUDE = struct.Struct("<8sIIQ32s")
_MOST_HEAD_BYTES = 64 << 20  # of a damaged length, no more than this is ever read
_CHUNK = 4 << 20
_HASHING_THREADS = 4


class DamagedKvFile(Exception):
    """The file is not what was written; it can only be deleted."""


@dataclass(frozen=True, slots=True)
class KvKey:
    """What a saved state depends on besides its tokens.

    ``model`` identifies the weights; ``layout`` names the engine's version and everything of its context that shapes
    the state (types of K and V, flash attention, window, streams).
    """

    model: str
    layout: str


@dataclass(frozen=True, slots=True)
class Window:
    """A checkpoint: the sliding-window state behind the first ``position`` tokens."""

    position: int
    requested: bool
    data: bytes | Bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class SavedSequence:
    """A sequence: its tokens, the state of its memory, its checkpoints ascending.

    ``static`` ones are beginnings that many conversations share (system prompt and tools).
    """

    tokens: Ids = field(repr=False)
    state: Bytes = field(repr=False)
    windows: tuple[Window, ...] = ()
    static: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class KvHead:
    """What a file says of itself, verified; sizes are bytes. ``windows`` are (position, requested, size)."""

    key: KvKey
    tokens: Ids = field(repr=False)
    static: bool
    state_bytes: int
    windows: tuple[tuple[int, bool, int], ...]
    payload_start: int
    file_bytes: int
    digest: bytes = field(repr=False)


def write_kv_file(path: Path, key: KvKey, saved: SavedSequence) -> None:
    """Make ``path`` (0600) hold the sequence; raises OSError, the old file then as it was."""
    parts = [saved.state, *(_bytes(window.data) for window in saved.windows)]
    description = {
        "model": key.model,
        "layout": key.layout,
        "static": saved.static,
        "tokens": len(saved.tokens),
        "state": saved.state.size,
        "windows": [[window.position, window.requested, len(window.data)] for window in saved.windows],
        "sha256": _digest(parts).hex(),
    }
    text = json.dumps(description, separators=(",", ":")).encode()
    head = struct.pack("<I", len(text)) + text + saved.tokens.astype("<i4").tobytes()
    total = _PRELUDE.size + len(head) + sum(part.size for part in parts)
    prelude = _PRELUDE.pack(MAGIC, VERSION, len(head), total, hashlib.sha256(head).digest())
    _write_atomically(path, [prelude, head, *(part.data for part in parts)])


def read_kv_head(path: Path) -> KvHead:
    """What the file holds, its payload unread; raises DamagedKvFile, or OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return _parse_head(file.read(_PRELUDE.size), file.read, size)


def read_kv_file(path: Path) -> tuple[KvHead, SavedSequence]:
    """The whole file, read once and verified to its last byte; raises DamagedKvFile, or OSError."""
    with path.open("rb", buffering=0) as file:
        content = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
        filled = 0
        while filled < content.size and (count := file.readinto(content[filled:].data)):
            filled += count
    content = content[:filled]
    at = _PRELUDE.size

    def following(count: int) -> bytes:
        return content[at : at + count].tobytes()

    head = _parse_head(content[:at].tobytes(), following, content.size)
    parts = list(_split(content[head.payload_start :], [head.state_bytes, *(size for _, _, size in head.windows)]))
    if _digest(parts) != head.digest:
        raise DamagedKvFile(f"{path.name} does not hold what was written to it")
    windows = (
        Window(position, requested, data)
        for (position, requested, _), data in zip(head.windows, parts[1:], strict=True)
    )
    return head, SavedSequence(head.tokens, parts[0], tuple(windows), head.static)


def _parse_head(prelude: bytes, following: Any, size: int) -> KvHead:
    if len(prelude) < _PRELUDE.size:
        raise DamagedKvFile("the file ends in its first bytes")
    magic, version, head_bytes, file_bytes, digest = _PRELUDE.unpack(prelude)
    if (magic, version) != (MAGIC, VERSION):
        raise DamagedKvFile("the file is of another kind or version")
    if file_bytes != size or head_bytes > min(size, _MOST_HEAD_BYTES):
        raise DamagedKvFile("the file does not have its length")
    head: bytes = following(head_bytes)
    if len(head) != head_bytes or hashlib.sha256(head).digest() != digest:
        raise DamagedKvFile("the file's head is damaged")
    # From here on everything is as it was written by this module.
    text_bytes = struct.unpack_from("<I", head)[0]
    said = cast("dict[str, Any]", json.loads(head[4 : 4 + text_bytes]))
    tokens = np.frombuffer(head, "<i4", offset=4 + text_bytes).astype(np.int32)
    windows = tuple((int(at), bool(wanted), int(count)) for at, wanted, count in said["windows"])
    start = _PRELUDE.size + head_bytes
    if len(tokens) != said["tokens"] or start + said["state"] + sum(w[2] for w in windows) != size:
        raise DamagedKvFile("the file's parts do not make up its length")
    key = KvKey(said["model"], said["layout"])
    return KvHead(key, tokens, said["static"], said["state"], windows, start, size, bytes.fromhex(said["sha256"]))


def _split(content: Bytes, sizes: Sequence[int]) -> Iterator[Bytes]:
    start = 0
    for size in sizes:
        yield content[start : start + size]
        start += size


def _bytes(data: bytes | Bytes) -> Bytes:
    return data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)


def _digest(parts: Sequence[Bytes]) -> bytes:
    """sha256 over the sha256 of every chunk; hashlib lets other threads run meanwhile."""
    chunks = [part[start : start + _CHUNK] for part in parts for start in range(0, max(1, part.size), _CHUNK)]
    if len(chunks) <= 2:
        digests = [_sha256(chunk) for chunk in chunks]
    else:
        with ThreadPoolExecutor(min(_HASHING_THREADS, os.cpu_count() or 1), "kv-digest") as pool:
            digests = list(pool.map(_sha256, chunks))
    return hashlib.sha256(b"".join(digests)).digest()


def _sha256(chunk: Bytes) -> bytes:
    return hashlib.sha256(chunk.data).digest()


def _write_atomically(path: Path, parts: Sequence[bytes | memoryview]) -> None:
    """The old file or the whole new one, whatever happens in between."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}{DRAFT_SUFFIX}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


DRAFT_SUFFIX = ".draft"


def _sync_folder(folder: Path) -> None:
    """The rename outlives a power failure; where folders cannot be synced (Windows), it may be lost."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
