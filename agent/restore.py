"""Takes files from one recorded state to another: all of them, or none.

What was recorded, and what may be taken back, is ``agent.journal``'s business.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tools.errors import ToolError
from tools.workspace import Workspace

OTHER = "other"  # in place of a hash: something that is no regular file, or cannot be read


@dataclass(frozen=True, slots=True)
class Step:
    """One file on its way: ``now`` and ``then`` are sha256 (hex), None where there is no file.

    ``mode_now`` and ``mode`` are permission bits, None where nothing is known of them. ``made`` is the topmost folder
    that was made for the file, relative to the workspace, or empty; it goes with the file if nothing else is in it.
    """

    path: str
    now: str | None
    then: str | None
    mode_now: int | None = None
    mode: int | None = None
    made: str = ""

    def reversed(self) -> Step:
        """The way back."""
        return replace(self, now=self.then, then=self.now, mode_now=self.mode, mode=self.mode_now)


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What an undo, redo or rewind came to; paths are relative to the workspace.

    ``restored`` files, or ``refused`` ones with the reason: then nothing at all was touched. ``unrecorded`` are the
    commands in between whose effects nobody recorded: they stay. ``word`` is the verb for the sentence.
    """

    restored: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    unrecorded: tuple[str, ...] = ()
    word: str = "undo"

    def sentence(self) -> str:
        """What happened, for a person."""
        if self.refused:
            reasons = "; ".join(f"{path} {why}" for path, why in self.refused)
            return f"Nothing was {_PAST[self.word]}: {reasons}."
        said = [f"Restored {', '.join(self.restored)}."] if self.restored else []
        if self.unrecorded:
            commands = ", ".join(f"`{' '.join(each.split())}`" for each in self.unrecorded)
            said.append(f"What these commands did outside of the record stays as it is: {commands}.")
        return " ".join(said) or f"There is nothing to {self.word}."


_PAST = {"undo": "undone", "redo": "redone"}


def digest(content: bytes) -> str:
    """The name of an image: its sha256 (hex)."""
    return hashlib.sha256(content).hexdigest()


def state_of(workspace: Workspace, path: str) -> str | None:
    """What is at ``path`` now: a digest, None for no file, ``OTHER`` for what cannot be compared."""
    try:
        return digest(workspace.read(path).content)
    except FileNotFoundError:
        return None
    except ToolError:
        # A folder where a file was: there is no file. Anything else in its place is someone's doing.
        return None if _is_folder(workspace, path) else OTHER


def obstacle(workspace: Workspace, step: Step) -> str | None:
    """Half a sentence on why a step cannot be taken; None when the file is where the step begins, or there already."""
    found = state_of(workspace, step.path)
    if found in (step.now, step.then):
        return None
    if found is None:
        return "was deleted since by someone else"
    return "is no regular file any more" if found == OTHER else "was changed since by someone else"


def take(workspace: Workspace, steps: Sequence[Step], image: Callable[[str], bytes]) -> tuple[str, str] | None:
    """Take every step, or none: a path and why it failed. Files go before files come: a name may have become a folder.

    ``image`` gives the content of a digest. Every file is written atomically, so a crash leaves each one at the
    beginning or the end of its step.
    """
    ordered = sorted(steps, key=lambda step: step.then is not None)
    for number, step in enumerate(ordered):
        try:
            _take_one(workspace, step, image)
        except (ToolError, OSError) as error:
            for done in reversed(ordered[:number]):
                with contextlib.suppress(ToolError, OSError):
                    _take_one(workspace, done.reversed(), image)
            return step.path, str(error)
    return None


def _take_one(workspace: Workspace, step: Step, image: Callable[[str], bytes]) -> None:
    found = state_of(workspace, step.path)
    if found == step.then:
        pass
    elif step.then is None:
        workspace.remove(step.path, image(found or ""), step.made)
    else:
        before = None if found is None else image(found)
        workspace.write(step.path, image(step.then), before, step.mode)
    if step.then is not None and step.mode is not None and step.mode != step.mode_now:
        workspace.set_mode(step.path, step.mode)
    workspace.forget(step.path)


def _is_folder(workspace: Workspace, path: str) -> bool:
    where = workspace.root / path
    return where.is_dir() and not where.is_symlink()
