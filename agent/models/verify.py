"""Is a model file what it should be: its sha256, its size, its structure; and the stamp that saves hashing it again.

It fetches nothing; a file that fails is moved aside by whoever asked.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agent.errors import DownloadError, ModelError
from agent.models.progress import Meter, ProgressCallback, no_progress
from inference.errors import ModelLoadError
from inference.gguf_header import GgufHeader, read_header

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Stamp:
    """Written beside a file whose content was hashed; void as soon as size or modification time differ."""

    sha256: str
    size: int
    mtime_ns: int


def stamp_path(path: Path) -> Path:
    """Where the stamp of ``path`` is kept: beside the name it goes by (in the hub's cache, beside the link)."""
    return path.with_name(f".{path.name}.verified")


def read_stamp(path: Path) -> Stamp | None:
    """The stamp of ``path`` when there is one and the file has not been touched since."""
    try:
        found = cast("dict[str, Any]", json.loads(stamp_path(path).read_text("utf-8")))
        stamp = Stamp(str(found["sha256"]), int(found["size"]), int(found["mtime_ns"]))
        status = path.stat()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return stamp if (stamp.size, stamp.mtime_ns) == (status.st_size, status.st_mtime_ns) else None


def write_stamp(path: Path, sha256: str) -> None:
    """Remember that ``path`` has this hash now; a read-only folder is no error, the hash is then computed each time."""
    status = path.stat()
    place = stamp_path(path)
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        text = json.dumps({"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns})
        draft.write_text(text, "utf-8")
        draft.replace(place)
    except OSError:
        draft.unlink(missing_ok=True)


def sha256_of(path: Path, progress: ProgressCallback = no_progress) -> str:
    """The file's sha256 in hex; raises DownloadError when it cannot be read to the end."""
    digest = hashlib.sha256()
    done = 0
    try:
        meter = Meter(f"checking {path.name}", path.stat().st_size, progress)
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                digest.update(block)
                done += len(block)
                meter.update(done)
    except OSError as error:
        raise DownloadError(f"{path} cannot be read ({error.strerror}); check the disk and fetch it again.") from None
    return digest.hexdigest()


def expected_from_cache(path: Path) -> str | None:
    """The sha256 that the hub's cache keeps as the name of the blob a link points to; None elsewhere."""
    name = path.resolve().name
    return name if len(name) == 64 and set(name) <= set("0123456789abcdef") else None


def check_structure(path: Path) -> GgufHeader:
    """The header of a whole GGUF file; raises ModelError (one sentence) for one that is truncated or no GGUF."""
    try:
        return read_header(path)
    except ModelLoadError as error:
        raise ModelError(str(error)) from None


def identity(path: Path) -> str:
    """What tells this file's content from any other's: its sha256 where a stamp has it, else a fingerprint.

    Hashing gigabytes would cost a start more than what it saves. Size, modification time, and the hash of both ends
    (the header with all names and settings, and the last weights) change whenever a file is replaced.
    """
    if stamp := read_stamp(path):
        return f"sha256:{stamp.sha256}"
    status = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(BLOCK))
        file.seek(max(0, status.st_size - BLOCK))
        digest.update(file.read(BLOCK))
    return f"file:{status.st_size}:{status.st_mtime_ns}:{digest.hexdigest()}"


def check_content(path: Path, expected: str | None, progress: ProgressCallback = no_progress) -> bool:
    """Whether the content is as expected, hashing it only when no valid stamp says so.

    Without an expected hash the stamp is the expectation; without either there is nothing to compare: True.
    """
    stamp = read_stamp(path)
    if stamp is not None:
        return expected is None or stamp.sha256 == expected
    if expected is None:
        return True
    found = sha256_of(path, progress)
    if found == expected:
        write_stamp(path, found)
    return found == expected


def move_aside(path: Path) -> Path:
    """Rename a damaged file so that it is never used; a link into the hub's cache loses link and content."""
    stamp_path(path).unlink(missing_ok=True)
    if path.is_symlink():
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        return path
    aside = path.with_name(path.name + ".damaged")
    path.replace(aside)
    return aside
