"""Which model files are on this machine: in our own folder and in the Hugging Face cache; finding and removing them.

It verifies nothing, opens no socket and does not need huggingface_hub: the cache's layout is documented.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ModelError
from agent.models.catalog import Catalog, Entry
from agent.models.file_names import pick_name
from agent.models.places import Places
from agent.models.verify import stamp_path


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """A model that can be run: its target, its drafter where there is one, and what is known of it."""

    target: Path
    drafter: Path | None
    entry: Entry


def find_local(places: Places, entry: Entry) -> LocalFiles | None:
    """The files of an entry, where both the target is here; our own folder is looked at first."""
    if entry.packaged and entry.file and (places.packaged / entry.file).is_file():
        return LocalFiles(places.packaged / entry.file, places.packaged / f"mtp-{entry.file}", entry)
    if entry.file and (places.models / entry.file).is_file():
        return LocalFiles(places.models / entry.file, None, entry)
    for source in entry.hub:
        files = _snapshot_files(places, source.repo)
        target = _pick(files, source.target, leave_out=source.drafter)
        if target is not None:
            return LocalFiles(target, _pick(files, source.drafter), entry)
    return None


def fetched(places: Places, catalog: Catalog) -> dict[str, LocalFiles]:
    """As ``all_local``, without what is installed with this program: what somebody chose to have."""
    return {name: files for name, files in all_local(places, catalog).items() if not files.entry.packaged}


def all_local(places: Places, catalog: Catalog) -> dict[str, LocalFiles]:
    """Catalogue name -> files, for every entry that is here."""
    found = {entry.name: find_local(places, entry) for entry in catalog.model}
    return {name: files for name, files in found.items() if files is not None}


def other_files(places: Places, catalog: Catalog) -> list[Path]:
    """GGUF files in our own folder that the catalogue does not name; ``--model`` takes their name without .gguf."""
    known = {entry.file for entry in catalog.model}
    if not places.models.is_dir():
        return []
    return sorted(path for path in places.models.glob("*.gguf") if path.name not in known)


def remove(files: LocalFiles, places: Places) -> int:
    """Delete the files of a model, its stamps and half-fetched remains; returns how many bytes became free.

    Raises ModelError for a packaged one.
    """
    if files.entry.packaged:
        raise ModelError(f"{files.entry.title} is a part of this program and goes with it.")
    freed = 0
    for path in filter(None, (files.target, files.drafter)):
        blob = path.resolve()
        freed += blob.stat().st_size if blob.exists() else 0
        stamp_path(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        if blob.is_relative_to(places.hub_cache.resolve()):
            blob.unlink(missing_ok=True)
    return freed + remove_remains(files.entry, places)


def remove_remains(entry: Entry, places: Places) -> int:
    """Delete what broken downloads of an entry left behind; returns how many bytes became free."""
    remains = list[Path]()
    for source in entry.hub:
        remains += _repo_folder(places, source.repo).glob("blobs/*.gemma-agent-partial")
    if entry.file:
        remains += places.models.glob(f"{entry.file}.damaged")
        remains += places.models.glob(f".{entry.file}.parts")
    freed = 0
    for path in remains:
        files = path.rglob("*") if path.is_dir() else [path]
        freed += sum(each.stat().st_size for each in files if each.is_file())
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return freed


def _repo_folder(places: Places, repo: str) -> Path:
    return places.hub_cache / ("models--" + repo.replace("/", "--"))


def _snapshot_files(places: Places, repo: str) -> list[Path]:
    """All files of a repository in the cache, those of the newest snapshot first; links without a blob do not count."""
    snapshots = [path for path in _repo_folder(places, repo).glob("snapshots/*") if path.is_dir()]
    snapshots.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [file for snapshot in snapshots for file in sorted(snapshot.rglob("*.gguf")) if file.is_file()]


def _pick(files: Iterable[Path], patterns: tuple[str, ...], leave_out: tuple[str, ...] = ()) -> Path | None:
    by_name = {str(file): file for file in files}
    name = pick_name(by_name, patterns, leave_out)
    return by_name[name] if name else None
