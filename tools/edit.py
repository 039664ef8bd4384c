"""The edit tool: several replacements in one file, all or nothing, written atomically.

How a quotation is found is ``tools.matching``'s matter; what the result says of a change, ``tools.edit_report``'s.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import AliasChoices, BaseModel, Field, model_validator

import prompts
from tools.arguments import Arguments, items, mapping
from tools.base import Effect, FileChange, ToolContext, ToolOutput
from tools.diff import unified_diff
from tools.edit_report import Region, ambiguous, not_found, regions_text, syntax_refusal
from tools.errors import ToolError
from tools.matching import Ambiguous, Match, find
from tools.syntax import check_change
from tools.text import TextFile, decode, is_binary

# Gemma writes arguments in the order of their names, so these decide what it writes first: the file, then what stands
# there, then what is to stand there. What it has just copied from the file is what it changes.
_FIND = ("find", "old", "old_string", "oldString", "old_text", "oldText", "search")
_REPLACE = ("replace", "new", "new_string", "newString", "new_text", "newText", "replacement")
_ALL = ("replacements", "edits", "changes")


class Replacement(Arguments):
    """One replacement."""

    find: str = Field(validation_alias=AliasChoices(*_FIND))
    replace: str = Field(validation_alias=AliasChoices(*_REPLACE))


class EditArguments(Arguments):
    """A file and its replacements; a flat ``find`` and ``replace`` beside the path are taken for one."""

    path: str = Field(strict=True)
    replacements: list[Replacement] = Field(validation_alias=AliasChoices(*_ALL), min_length=1, max_length=100)

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, data: object) -> object:
        given = mapping(data)
        if given is None:
            return data
        name = next((each for each in _ALL if each in given), _ALL[0])
        replacements = items(given.get(name))
        if replacements is None and any(each in given for each in _FIND):
            replacements = [given]
        return given if replacements is None else {**given, name: replacements}


@dataclass(frozen=True, slots=True)
class _Plan:
    """A checked change that only needs writing."""

    relative: str
    before: bytes
    after: bytes
    report: str


class EditTool:
    """Changes an existing file that the model has read."""

    name = "edit"
    arguments: type[BaseModel] = EditArguments
    effect = Effect.WRITE

    @property
    def description(self) -> str:
        """For the model."""
        return prompts.load("tools/edit")

    def summary(self, arguments: BaseModel) -> str:
        """One line for people."""
        assert isinstance(arguments, EditArguments)
        count = len(arguments.replacements)
        return f"edit {arguments.path}" + (f" ({count} places)" if count > 1 else "")

    async def preview(self, arguments: BaseModel, context: ToolContext) -> str:
        """The unified diff that ``run`` would bring about; raises ToolError as ``run`` would."""
        assert isinstance(arguments, EditArguments)
        plan = await asyncio.to_thread(_plan, arguments, context)
        return unified_diff(plan.relative, plan.before, plan.after)

    async def run(self, arguments: BaseModel, context: ToolContext) -> ToolOutput:
        """Make the replacements; the text shows the changed lines.

        Planning takes a thread; writing stays on the caller's, whose recorder may be bound to it.
        """
        assert isinstance(arguments, EditArguments)
        plan = await asyncio.to_thread(_plan, arguments, context)
        with context.recorder.change(context.workspace.root / plan.relative, plan.before, plan.after):
            context.workspace.write(plan.relative, plan.after, plan.before)
        return ToolOutput(plan.report, changes=(FileChange(plan.relative, plan.before, plan.after),))


def _plan(arguments: EditArguments, context: ToolContext) -> _Plan:
    workspace = context.workspace
    relative = workspace.locate(arguments.path, write=True)
    try:
        found = workspace.read(relative)
    except FileNotFoundError as error:
        raise ToolError(f"{relative} does not exist; create it with write, or check the path.") from error
    workspace.require_writable(relative, found)
    if workspace.seen(relative) is None:
        raise ToolError(f"{relative} was not read yet; read it first, then edit.")
    if not workspace.is_current(relative, found.content):
        raise ToolError(f"{relative} changed since you read it; read it again, then edit.")
    if is_binary(found.content):
        raise ToolError(f"{relative} is a binary file and cannot be edited; leave it.")
    file = decode(found.content)
    pairs = list(dict.fromkeys((each.find, each.replace) for each in arguments.replacements))
    matches = _locate_all(relative, file.text, pairs, workspace.pointed(relative, file.text))
    text, regions = _apply(file.text, matches)
    if text == file.text:
        raise _nothing_changes("`find`")
    after = _encoded(relative, file, text)
    check = check_change(relative, file.text, text)
    if check.refuse:
        raise ToolError(syntax_refusal(relative, text, regions, check.problems))
    report = regions_text(relative, text, regions, check.problems)
    return _Plan(relative, found.content, after, report)


def _nothing_changes(which: str) -> ToolError:
    return ToolError(f"{which} and `replace` are equal, so nothing would change; write the changed lines in `replace`.")


def _locate_all(relative: str, text: str, edits: Sequence[tuple[str, str]], pointed: range) -> list[Match]:
    """The place of each edit in the original text, in order of places; raises ToolError if one has none or several.

    Of several the only one at an offset in ``pointed`` is meant.
    """
    matches: list[tuple[Match, str]] = []
    for number, (old, new) in enumerate(edits, 1):
        which = "`find`" if len(edits) == 1 else f"`find` of replacement {number}"
        if old == new:
            raise _nothing_changes(which)
        found = _pointed_at(text, old, new, pointed) or _locate(text, old, new, which)
        if found is None:
            raise ToolError(not_found(relative, text, (old, new), which))
        if isinstance(found, Ambiguous):
            raise ToolError(ambiguous(relative, text, found, which))
        matches.append((found, which))
    matches.sort(key=lambda pair: (pair[0].start, pair[0].end))
    for (first, one), (second, other) in itertools.pairwise(matches):
        if second.start < first.end:
            raise ToolError(f"{one} and {other} overlap in {relative}; join them into one.")
    return [match for match, _ in matches]


def _locate(text: str, old: str, new: str, which: str) -> Match | Ambiguous | None:
    if old.strip():
        return find(text, old, new)
    if not text.strip():
        return Match(0, len(text), new)
    raise ToolError(f"{which} is empty; copy the lines to replace, or the line to insert after, into it.")


def _pointed_at(text: str, old: str, new: str, pointed: range) -> Match | None:
    offset = text.find(old, pointed.start) if old.strip() and pointed else -1
    if offset not in pointed or text.find(old, offset + 1) in pointed:
        return None
    return Match(offset, offset + len(old), new)


def _apply(text: str, matches: Sequence[Match]) -> tuple[str, list[Region]]:
    """The new text, and where the replacements are in it."""
    pieces: list[str] = []
    regions: list[Region] = []
    at = size = 0
    for match in matches:
        pieces += [text[at : match.start], match.replacement]
        size += match.start - at
        regions.append(Region(size, size + len(match.replacement), match.how))
        size += len(match.replacement)
        at = match.end
    pieces.append(text[at:])
    return "".join(pieces), regions


def _encoded(relative: str, file: TextFile, text: str) -> bytes:
    try:
        return file.encode(text)
    except UnicodeEncodeError as error:
        bad = ascii(error.object[error.start])
        raise ToolError(f"{relative} is {file.encoding} text and cannot hold {bad}; write it otherwise.") from error
