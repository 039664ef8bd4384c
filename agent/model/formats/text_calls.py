"""Finds tool calls that a model wrote as text instead of with its markers, while the text streams.

Fenced JSON, ``<tool_call>`` spelled out, a bare JSON object, a Python ``tool_code`` block, Gemma's ``call:name{...}``.
Text that cannot begin a call passes at once. Nothing is run or validated here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from agent.model.formats import json_repair
from agent.model.formats.base import ToolSchemas
from agent.model.formats.gemma4_arguments import QUOTE, ArgumentsError, parse_arguments
from agent.model.formats.json_calls import FoundCall, calls_from_json, calls_from_python

_FENCE = re.compile(r"[ \t]*(`{3,})([\w+-]*)[ \t]*\n")
_FENCE_PREFIX = re.compile(r"[ \t]*(?:`{0,2}|`{3,}[\w+-]*[ \t]*)$")
_TAG = re.compile(r"[ \t]*<(tool_call|tools|function_call)>")
_JSON_CALL = re.compile(
    r"""[\s\[]*\{\s*["']?(?:name|tool|tool_name|function|function_name|arguments|parameters|tool_calls|type)["']?\s*:"""
)
_DECIDED = 48  # characters of JSON within which its first key must have shown itself
_TAG_NAMES = ("<tool_call>", "<tools>", "<function_call>")
_CODE_LABELS = frozenset({"tool_code", "tool_call", "tool_calls"})


class _Mode(Enum):
    MIDLINE = "midline"  # no call can begin before the next line
    LINE_START = "line start"
    CODE = "code"  # in a fenced block that is no call; nothing in it is one
    FENCE = "fence"
    TAG = "tag"
    JSON = "json"
    GEMMA = "gemma"


@dataclass(slots=True)
class Brackets:
    """Where a bracketed value that comes in pieces ends; looks at every character once.

    ``gemma`` counts the quote token as a quote, too. ``quote`` is the quote that is open now.
    """

    gemma: bool = False
    depth: int = 0
    quote: str = ""
    _escaped: bool = False

    def feed(self, text: str) -> int | None:
        """The index in ``text`` behind the bracket that closes the value, or None while it is open."""
        for index, char in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self.quote:
                self._escaped = char == "\\" and self.quote == '"'
                self.quote = "" if char == self.quote else self.quote
            elif char == '"' or (self.gemma and char == QUOTE):
                self.quote = char
            elif char in "{[":
                self.depth += 1
            elif char in "}]":
                self.depth -= 1
                if self.depth <= 0:
                    return index + 1
        return None


@dataclass(slots=True)
class TextCallScanner:
    """Splits a text stream into text and calls of known ``tools``; ``gemma`` also reads Gemma's own notation."""

    tools: ToolSchemas
    gemma: bool = False
    _held: str = ""
    _mode: _Mode = _Mode.LINE_START
    _brackets: Brackets = field(default_factory=Brackets)
    _searched: int = 0

    def feed(self, text: str) -> list[str | FoundCall]:
        """What can be told now; text that may belong to a call is held back."""
        if not self.tools:
            return [text] if text else []
        self._held += text
        found: list[str | FoundCall] = []
        while self._held and self._step(found):
            pass
        return found

    def end_call(self) -> list[str | FoundCall]:
        """A closing marker came: what is held back is complete."""
        return self._close(truncated=False)

    def finish(self, *, truncated: bool) -> list[str | FoundCall]:
        """The rest."""
        return self._close(truncated=truncated)

    def _close(self, *, truncated: bool) -> list[str | FoundCall]:
        held, mode = self._held, self._mode
        self._held, self._mode = "", _Mode.LINE_START
        if not held:
            return []
        if not truncated and mode not in (_Mode.MIDLINE, _Mode.LINE_START, _Mode.CODE):
            calls = self._calls(held, mode, complete=True)
            if calls:
                return [*calls]
        return [held]

    def _step(self, found: list[str | FoundCall]) -> bool:
        """Advance once; False when more text is needed."""
        if self._mode is _Mode.MIDLINE:
            end = self._held.find("\n") + 1
            if end:
                self._mode = _Mode.LINE_START
            return self._emit(found, end or len(self._held))
        if self._mode is _Mode.LINE_START:
            mode = self._opening()
            if mode is None:
                return False
            self._mode = mode
            self._brackets, self._searched = Brackets(gemma=mode is _Mode.GEMMA), 0
            return True
        if self._mode is _Mode.CODE:
            return self._pass_code(found)
        end = self._captured()
        if end is None:
            return False
        calls = self._calls(self._held[:end], self._mode, complete=False)
        if not calls and self._mode is _Mode.FENCE:
            return self._fence_goes_on(found, end)
        self._mode = _Mode.MIDLINE
        if not calls:
            return self._emit(found, end)
        found.extend(calls)
        self._held = self._held[end:]
        self._mode = _Mode.LINE_START
        return True

    def _emit(self, found: list[str | FoundCall], end: int) -> bool:
        found.append(self._held[:end])
        self._held = self._held[end:]
        return True

    def _pass_code(self, found: list[str | FoundCall]) -> bool:
        """Give the code of a block away up to its end, keeping what may be the start of the closing fence."""
        end = self._held.find("\n```")
        if end >= 0:
            self._mode = _Mode.MIDLINE
            return self._emit(found, end + 4)
        ready = len(self._held) - 3
        if ready > 0:
            self._emit(found, ready)
        return False

    def _opening(self) -> _Mode | None:
        """What the text at a line's start begins; MIDLINE for plain text, None when that cannot be told yet."""
        text = self._held
        if not text.strip(" \t"):
            return None
        stripped = text.lstrip(" \t")
        if stripped[0] == "`":
            return self._fence_opening(text)
        if stripped[0] == "<":
            if _TAG.match(text):
                return _Mode.TAG
            return None if any(name.startswith(stripped) for name in _TAG_NAMES) else _Mode.MIDLINE
        if stripped[0] in "{[":
            return _json_opening(stripped)
        if self.gemma and stripped[0] == "c":
            return self._gemma_opening(stripped)
        return _Mode.MIDLINE

    def _fence_opening(self, text: str) -> _Mode | None:
        opening = _FENCE.match(text)
        if opening is None:
            return None if _FENCE_PREFIX.match(text) else _Mode.MIDLINE
        if opening[2] in _CODE_LABELS:
            return _Mode.FENCE
        content = text[opening.end() :].lstrip()
        if not content:
            return None
        decision = _json_opening(content) if content[0] in "{[" else _Mode.MIDLINE
        return {_Mode.JSON: _Mode.FENCE, _Mode.MIDLINE: _Mode.CODE, None: None}[decision]

    def _gemma_opening(self, stripped: str) -> _Mode | None:
        for name in self.tools:
            opening = f"call:{name}{{"
            if stripped.startswith(opening):
                return _Mode.GEMMA
            if opening.startswith(stripped):
                return None
        return _Mode.MIDLINE

    def _captured(self) -> int | None:
        """Where what is being held ends, or None while it goes on."""
        if self._mode is _Mode.FENCE:
            end = self._held.find("\n```", max(self._searched, 4))
            self._searched = max(0, len(self._held) - 4)
            return end + 4 if end >= 0 else None
        if self._mode is _Mode.TAG:
            end = self._held.find("</", self._searched)
            close = self._held.find(">", end) if end >= 0 else -1
            self._searched = max(0, len(self._held) - 2) if end < 0 else end
            return close + 1 if close >= 0 else None
        end = self._brackets.feed(self._held[self._searched :])
        start, self._searched = self._searched, len(self._held)
        return None if end is None else start + end

    def _fence_goes_on(self, found: list[str | FoundCall], end: int) -> bool:
        """The fence closed around something that is no call (yet): a string in it may hold a fence, else it is text."""
        try:
            json_repair.loads(self._body(self._held[:end], _Mode.FENCE), truncated=True)
        except ValueError:
            if self._held.count("\n```") < 8 and _inside_string(self._held[:end]):
                self._searched = end
                return "\n```" in self._held[end:]
        self._mode = _Mode.MIDLINE
        return self._emit(found, end)

    def _body(self, text: str, mode: _Mode) -> str:
        if mode is _Mode.FENCE:
            opening = _FENCE.match(text)
            body = text[opening.end() :] if opening else text
            return re.sub(r"\n?[ \t]*`{3,}\s*$", "", body)
        if mode is _Mode.TAG:
            return re.sub(r"</[^<>]*>?\s*$", "", _TAG.sub("", text, count=1))
        return text

    def _calls(self, text: str, mode: _Mode, *, complete: bool) -> list[FoundCall]:
        """The calls that captured text holds; none when it is something else. ``complete``: nothing will follow."""
        body = self._body(text, mode).strip()
        if mode is _Mode.GEMMA or (mode is _Mode.FENCE and self.gemma and body.startswith("call:")):
            return self._gemma_call(body, text)
        try:
            value = json_repair.loads(body, truncated=not complete and mode is not _Mode.TAG)
        except ValueError:
            return calls_from_python(body, self.tools, text)
        return calls_from_json(value, self.tools, text) or calls_from_python(body, self.tools, text)

    def _gemma_call(self, body: str, source: str) -> list[FoundCall]:
        name, _, arguments = body.removeprefix("call:").partition("{")
        try:
            return [FoundCall(name, parse_arguments("{" + arguments, self.tools.get(name)), source)]
        except ArgumentsError:
            return []


def _json_opening(text: str) -> _Mode | None:
    """Whether a JSON value may be a call, as soon as its first key can be seen."""
    if _JSON_CALL.match(text):
        return _Mode.JSON
    return None if ":" not in text and len(text) < _DECIDED else _Mode.MIDLINE


def _inside_string(text: str) -> bool:
    return len(re.findall(r'(?<!\\)"', text)) % 2 == 1
