"""KV sequences on disk: which file holds the longest usable beginning of a prompt, what is kept, what has to go.

It moves no native memory: states come and go as bytes, and ``inference.prefix_cache`` knows what to do with them.
Several processes may share the folder: files are only ever written whole, renamed and deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from inference.backend import BackendInfo
from inference.kv_file import (
    DRAFT_SUFFIX,
    DamagedKvFile,
    Ids,
    KvHead,
    KvKey,
    SavedSequence,
    read_kv_file,
    read_kv_head,
    write_kv_file,
)

log = logging.getLogger(__name__)

DEFAULT_BUDGET_BYTES = 4 << 30
"""Twenty conversations of 8,000 tokens with a model of 1.5B (28 kB a token)."""

LEAST_FREE_BYTES = 2 << 30
"""So much of the disk is left to others."""

_SUFFIX = ".kv"
_DRAFT_LIFETIME_S = 3600.0  # a draft that is older was left by a process that died
_SUPERSEDED_SHARE = 0.25  # what of an older file may be missing in a newer one that takes its place


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """``folder`` is made when needed (0700). ``model`` identifies the weights. ``least_free`` bytes of the disk stay
    free."""

    folder: Path
    model: str
    budget_bytes: int = DEFAULT_BUDGET_BYTES
    least_free: int = LEAST_FREE_BYTES


@dataclass(frozen=True, slots=True)
class Found:
    """A file whose first ``usable`` tokens can stand for those of a prompt; ``matched`` agree with it."""

    path: Path
    usable: int
    matched: int


class SequenceStore(Protocol):
    """Keeps sequences beyond the process; the prefix cache's view of it.

    Contract: what ``read`` gives is whole. ``save`` may return before it is kept; ``close`` does not.
    """

    def find(self, tokens: Sequence[int]) -> Found | None:
        """What has the longest usable beginning of ``tokens``; None when nothing has any."""
        ...

    def holds_static(self, tokens: Sequence[int]) -> bool:
        """Whether exactly these tokens are kept as a static prefix."""
        ...

    def read(self, found: Found) -> SavedSequence | None:
        """The content; None when it is gone or damaged."""
        ...

    def save(self, saved: SavedSequence) -> None:
        """Keep a sequence."""
        ...

    def close(self) -> None:
        """Wait until everything is kept."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """A file as it was when its head was read; ``head`` None: damaged."""

    signature: tuple[int, int]
    head: KvHead | None = field(repr=False)


class KvStore:
    """The files of one model in one layout; the budget covers those of all models in the folder.

    ``find`` looks at heads only; ``read`` verifies everything; ``save`` writes in a thread of its own. A disk that
    fails is logged and done without.
    """

    def __init__(self, options: StoreOptions, info: BackendInfo) -> None:
        self._options = options
        self._key = KvKey(options.model, info.layout)
        self._n_swa = info.n_swa
        self._n_ctx = info.n_ctx
        name = hashlib.sha256(f"{options.model}\n{info.layout}".encode()).hexdigest()[:20]
        self._folder = options.folder / name
        self._known: dict[str, _Known] = {}
        self._writer = ThreadPoolExecutor(1, "kv-writer")
        self._pending: deque[Future[None]] = deque()
        self._unwritten: dict[Path, SavedSequence] = {}  # the writer's thread only takes out

    def find(self, tokens: Sequence[int]) -> Found | None:
        """The file with the longest usable beginning of ``tokens``; None when there is none at all."""
        wanted = np.asarray(tokens, np.int32)
        best: Found | None = None
        unwritten = [
            (path, saved.tokens, [w.position for w in saved.windows]) for path, saved in list(self._unwritten.items())
        ]
        written = [(path, head.tokens, [w[0] for w in head.windows]) for path, head in self._heads()]
        for path, tokens_there, positions in (*unwritten, *written):
            matched = common_prefix(tokens_there, wanted)
            usable = matched
            if self._n_swa and matched < len(tokens_there):
                # Loaded, it can be cut at its end and at its checkpoints only.
                usable = max((position for position in positions if position <= matched), default=0)
            if usable > (best.usable if best else 0):
                best = Found(path, usable, matched)
        return best

    def holds_static(self, tokens: Sequence[int]) -> bool:
        """Whether exactly these tokens are kept as a static prefix."""
        path = self._folder / _file_name(np.asarray(tokens, np.int32), static=True)
        return path in self._unwritten or path.exists()

    def read(self, found: Found) -> SavedSequence | None:
        """The verified content, marked as used; None (and the file deleted) when it is damaged."""
        if unwritten := self._unwritten.get(found.path):
            return unwritten
        try:
            head, saved = read_kv_file(found.path)
        except OSError as error:
            log.info("%s cannot be read: %s", found.path, error)
            return None
        except DamagedKvFile as error:
            log.warning("%s is damaged and was deleted: %s", found.path, error)
            _delete(found.path)
            return None
        if head.key != self._key:
            return None
        with contextlib.suppress(OSError):
            os.utime(found.path)
        return saved

    def save(self, saved: SavedSequence) -> None:
        """Keep a sequence, in a thread of its own; waits while more than one other is still to be written."""
        while len(self._pending) > 1:
            self._pending.popleft().result()
        path = self._folder / _file_name(saved.tokens, static=saved.static)
        self._unwritten[path] = saved
        self._pending.append(self._writer.submit(self._write, path, saved))

    def flush(self) -> None:
        """Wait until everything is written."""
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Write what is still to be written."""
        self.flush()
        self._writer.shutdown()

    def _heads(self) -> list[tuple[Path, KvHead]]:
        """The readable files, and what they hold; heads are read once."""
        known: dict[str, _Known] = {}
        heads: list[tuple[Path, KvHead]] = []
        for entry in _scan(self._folder):
            with contextlib.suppress(OSError):
                status = entry.stat()
                signature = (status.st_size, status.st_ino)
                before = self._known.get(entry.name)
                if before is None or before.signature != signature:
                    before = _Known(signature, self._head(Path(entry.path)))
                known[entry.name] = before
                if before.head is not None:
                    heads.append((Path(entry.path), before.head))
        self._known = known
        return heads

    def _head(self, path: Path) -> KvHead | None:
        try:
            head = read_kv_head(path)
        except DamagedKvFile as error:
            log.warning("%s is damaged and was deleted: %s", path, error)
            _delete(path)
            return None
        return head if head.key == self._key and len(head.tokens) <= self._n_ctx else None

    def _write(self, path: Path, saved: SavedSequence) -> None:
        """Runs in the writer's thread."""
        try:
            self._write_now(path, saved)
        finally:
            self._unwritten.pop(path, None)

    def _write_now(self, path: Path, saved: SavedSequence) -> None:
        size = saved.state.nbytes + saved.tokens.nbytes + sum(len(window.data) for window in saved.windows)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._options.folder.chmod(0o700)
            if not self._make_room(size):
                return
            write_kv_file(path, self._key, saved)
        except OSError as error:
            log.warning("A KV sequence of %s tokens could not be kept: %s", len(saved.tokens), error)
            return
        self._supersede(saved, path.name)

    def _make_room(self, size: int) -> bool:
        """Delete the least recently used files until ``size`` bytes fit; whether they do."""
        entries = [each for folder in _folders(self._options.folder) for each in _scan(folder, drafts=True)]
        files: list[tuple[float, int, str]] = []
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat()
                files.append((status.st_mtime, status.st_size, entry.path))
        total = sum(count for _, count, _ in files)
        free = shutil.disk_usage(self._options.folder).free - self._options.least_free
        now = time.time()
        for used, count, path in sorted(files):
            abandoned = path.endswith(DRAFT_SUFFIX) and now - used > _DRAFT_LIFETIME_S
            fits = total + size <= self._options.budget_bytes and size <= free
            if (abandoned or not fits) and (abandoned or not path.endswith(DRAFT_SUFFIX)):
                with contextlib.suppress(OSError):
                    Path(path).unlink(missing_ok=True)
                    total, free = total - count, free + count
        return total + size <= self._options.budget_bytes and size <= free

    def _supersede(self, saved: SavedSequence, name: str) -> None:
        """Delete earlier states of the same conversation."""
        if saved.static:
            return
        for entry in _scan(self._folder):
            if entry.name == name:
                continue
            with contextlib.suppress(OSError, DamagedKvFile):
                head = read_kv_head(Path(entry.path))
                shared = common_prefix(head.tokens, saved.tokens)
                if not head.static and shared >= (1 - _SUPERSEDED_SHARE) * len(head.tokens):
                    Path(entry.path).unlink(missing_ok=True)


def common_prefix(one: Ids, other: Ids) -> int:
    """How many tokens from the first on are the same."""
    shorter = min(len(one), len(other))
    different = one[:shorter] != other[:shorter]
    first = int(different.argmax()) if shorter else 0
    return first if shorter and different[first] else shorter


def _delete(path: Path) -> None:
    """A file that cannot be deleted is left: another process may have done it."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _file_name(tokens: Ids, *, static: bool) -> str:
    kind = "static" if static else "session"
    return f"{kind}-{hashlib.sha256(tokens.tobytes()).hexdigest()[:24]}{_SUFFIX}"


def _folders(root: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _scan(folder: Path, *, drafts: bool = False) -> list[os.DirEntry[str]]:
    suffixes = (_SUFFIX, DRAFT_SUFFIX) if drafts else (_SUFFIX,)
    try:
        return [entry for entry in os.scandir(folder) if entry.name.endswith(suffixes)]
    except OSError:
        return []
