"""``agent models list | pull | rm | verify``: answers on standard output, everything else on standard error.

It decides nothing about models; imports are inside functions because every start of the program reads this module.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from agent.clean import clean

if TYPE_CHECKING:
    from agent.models.catalog import Entry
    from agent.models.fetch import ModelOptions
    from agent.models.local import LocalFiles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands of ``agent models`` to its parser; ``run_models`` takes the result."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the models that are known, which fit and which are here")
    listing.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    pull = actions.add_parser("pull", help="fetch a model and verify it")
    pull.add_argument("name", nargs="?", help="a name of 'agent models list' (default: the best that fits)")
    remove = actions.add_parser("rm", help="delete a model's files")
    remove.add_argument("name", help="a name of 'agent models list'")
    verify = actions.add_parser("verify", help="hash the files again and compare")
    verify.add_argument("name", nargs="?", help="a name of 'agent models list' (default: all that are here)")
    for action in (listing, pull, remove, verify):
        action.add_argument("--offline", action="store_true", default=argparse.SUPPRESS, help="open no socket")


def run_models(args: argparse.Namespace) -> int:
    """Run one action; returns the exit code: 0 done, 1 a file is damaged, 2 there is nothing to do it with.

    Raises AgentError, which the command line shows.
    """
    from agent.clean import clean
    from agent.models.display import ProgressLine
    from agent.models.fetch import ModelOptions

    line = ProgressLine(sys.stderr)

    def say(sentence: str) -> None:
        line.end()
        print(clean(sentence), file=sys.stderr, flush=True)

    options = ModelOptions(offline=getattr(args, "offline", False), say=say, progress=line)
    try:
        return _ACTIONS[args.action](args, options)
    except KeyboardInterrupt:
        if args.action == "pull":
            say("What was fetched is kept; the same command goes on.")
        raise
    finally:
        line.end()


@dataclass(frozen=True, slots=True)
class _Row:
    """A model as ``list`` shows it; ``path`` and ``drafter`` are empty when it is not here."""

    name: str
    title: str
    bytes: int
    context_that_fits: int
    state: str
    path: str
    drafter: str

    def cells(self) -> tuple[str, ...]:
        from agent.models.disk import size_text

        fits = f"{self.context_that_fits:,}" if self.context_that_fits else "too big"
        return (self.name, size_text(self.bytes), fits, self.state, self.path)


def _list(args: argparse.Namespace, options: ModelOptions) -> int:
    from agent.models.disk import size_text
    from agent.models.local import other_files
    from inference.host_files import obtainable_bytes

    available = obtainable_bytes()
    rows = [_row(entry, options, available) for entry in options.catalog.model]
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    table = [("NAME", "SIZE", "CONTEXT THAT FITS", "STATE", "FILE"), *(row.cells() for row in rows)]
    for path in other_files(options.places, options.catalog):
        table.append((path.stem, size_text(path.stat().st_size), "", "here, your own", str(path)))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for cells in table:
        print("  ".join(clean(cell).ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    return 0


def _row(entry: Entry, options: ModelOptions, available: int) -> _Row:
    from agent.models.choose import largest_context
    from agent.models.local import find_local
    from agent.models.verify import read_stamp

    local = find_local(options.places, entry)
    if local is None:
        size, state, path, drafter = entry.model_bytes + entry.drafter_bytes, "not here", "", ""
    else:
        size, path, drafter = local.target.stat().st_size, str(local.target), str(local.drafter or "")
        state = "here, verified" if read_stamp(local.target) else "here, not verified yet"
    return _Row(entry.name, entry.title, size, largest_context(entry, available), state, path, drafter)


def _pull(args: argparse.Namespace, options: ModelOptions) -> int:
    from agent.models.fetch import checked, fetch_best, pull
    from agent.models.local import find_local

    if args.name is None:
        files = fetch_best(options)
    else:
        entry = options.catalog.find(args.name)
        local = find_local(options.places, entry)
        files = checked(local, options.progress) if local else pull(entry, options)
        if local and local.drafter is None and entry.has_drafter:
            files = _with_drafter(files, options)
    options.say(f"{files.entry.title} is here and verified.")
    for path in filter(None, (files.target, files.drafter)):
        print(clean(str(path)))
    return 0


def _with_drafter(files: LocalFiles, options: ModelOptions) -> LocalFiles:
    """The same files with their drafter, which was not fetched so far; without it where it cannot be had."""
    from agent.errors import DownloadError
    from agent.models.fetch import pull

    try:
        return pull(files.entry, options)
    except DownloadError as error:
        options.say(f"The drafter of {files.entry.title} cannot be fetched, answers will be slower: {error}")
        return files


def _remove(args: argparse.Namespace, options: ModelOptions) -> int:
    from agent.models.disk import size_text
    from agent.models.local import find_local, remove, remove_remains

    entry = options.catalog.find(args.name)
    local = find_local(options.places, entry)
    freed = remove(local, options.places) if local else remove_remains(entry, options.places)
    if local is None and freed == 0:
        options.say(f"{entry.title} is not on this machine; nothing was removed.")
        return 2
    options.say(f"Removed {entry.title}; {size_text(freed)} are free again.")
    return 0


def _verify(args: argparse.Namespace, options: ModelOptions) -> int:
    from agent.models.local import all_local

    here = all_local(options.places, options.catalog)
    wanted = None if args.name is None else options.catalog.find(args.name).name
    found = [files for name, files in here.items() if wanted in (None, name)]
    if not found:
        options.say("There is nothing to verify: no such model is on this machine (agent models list).")
        return 2
    results = [_verified(files, options) for files in found]
    return 0 if all(results) else 1


def _verified(files: LocalFiles, options: ModelOptions) -> bool:
    """Hash again, whatever the stamps say, and print one line a file."""
    from agent.errors import AgentError
    from agent.models.fetch import checked
    from agent.models.verify import read_stamp, sha256_of, stamp_path

    remembered = {path: read_stamp(path) for path in (files.target, files.drafter) if path}
    try:
        for path, stamp in remembered.items():
            # A file of no known hash keeps the one that its stamp remembers as what it must have.
            if stamp is None or sha256_of(path, options.progress) != stamp.sha256:
                stamp_path(path).unlink(missing_ok=True)
        after = checked(files, options.progress)
    except AgentError as error:
        options.say(str(error))
        print(f"{files.entry.name}: damaged")
        return False
    whole = after.drafter == files.drafter
    print(f"{files.entry.name}: {'ok' if whole else 'the drafter is damaged'}")
    return whole


_ACTIONS: dict[str, Callable[[argparse.Namespace, ModelOptions], int]] = {
    "list": _list,
    "pull": _pull,
    "rm": _remove,
    "verify": _verify,
}
