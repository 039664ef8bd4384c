"""Which drafter goes with a model: its own, another that was asked for, or none.

It loads nothing; whether both fit into memory is found out by ``agent.local_engine``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from agent.errors import ModelError
from agent.models.local import LocalFiles
from inference.backend.model_file import check_drafter
from inference.errors import ModelLoadError

AUTOMATIC, WITHOUT = "auto", "none"  # drafters that are no file
_ASSISTANTS = ("mtp-*", "*assistant*")


def with_drafter(
    files: LocalFiles, wanted: str, find: Callable[[str], LocalFiles], say: Callable[[str], None]
) -> LocalFiles:
    """The same files with the drafter that ``wanted`` names.

    ``wanted`` is AUTOMATIC (the model's own, where it is here), WITHOUT, a model's name or a path. ``find`` gives the
    files of a model's name. A drafter of its own that does not suit the model is left out, and ``say`` told why; one
    that was asked for raises ModelError.
    """
    if wanted == WITHOUT:
        return replace(files, drafter=None)
    if wanted == AUTOMATIC:
        drafter = files.drafter or assistant_beside(files.target)
    else:
        drafter = Path(wanted).expanduser() if wanted.endswith(".gguf") else find(wanted).target
    try:
        if drafter is not None:
            check_drafter(files.target, drafter)
    except ModelLoadError as error:
        if wanted != AUTOMATIC:
            raise ModelError(str(error)) from None
        say(f"The drafter is left out, answers come more slowly: {error}")
        drafter = None
    return replace(files, drafter=drafter)


def assistant_beside(target: Path) -> Path | None:
    """The assistant of ``target`` in the same folder, when there is exactly one that was made for its width."""
    found = [
        path for path in target.parent.glob("*.gguf") if any(fnmatch(path.name.lower(), name) for name in _ASSISTANTS)
    ]
    fitting = list[Path]()
    for path in found:
        with suppress(ModelLoadError):
            check_drafter(target, path)
            fitting.append(path)
    return fitting[0] if len(fitting) == 1 else None
