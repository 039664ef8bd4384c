"""The argument notation of Gemma 4 tool calls: ``{key:<|"|>text<|"|>,n:1,list:[true,null]}``.

Reads it leniently, with the tool's schema as a guide, and writes it. It knows neither token ids nor calls: the quote
token is QUOTE here, a lone surrogate, which decoded UTF-8 can never contain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from agent.model.formats.coercion import Bare, coerce
from agent.model.formats.literal import PromptBuilder
from agent.model.formats.schema import Schema, mapping, properties, sequence, sorted_items, types

QUOTE = "\udc52"
_WRITTEN_QUOTE = '<|"|>'
_NUMBER = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,2})?")
_KEY = re.compile(r"[^\s:,{}\[\]\"'`" + QUOTE + r"]+")
_WORD = re.compile(r"[^\s,:{}\[\]\"'`" + QUOTE + r"]+")
_SPACE = re.compile(r"\s*")
_LITERALS: Mapping[str, object] = {"true": True, "false": False, "null": None}
_CLOSING = {"{": "}", "[": "]"}


class ArgumentsError(ValueError):
    """The text cannot be read as arguments; the message says why, for the model."""


def parse_arguments(text: str, schema: Schema | None = None, *, truncated: bool = False) -> dict[str, object]:
    """The arguments in ``text`` (QUOTE for the quote token), coerced by ``schema``.

    Mended where there is only one reading: other quotes, quoted keys, a last string without its closing quote, bare
    text for a string property, closers missing behind a string. Nothing is mended at the end of a ``truncated`` text.
    Raises ArgumentsError.
    """
    if QUOTE not in text:
        text = text.replace(_WRITTEN_QUOTE, QUOTE)
    reader = _Reader(text.strip(), truncated)
    value = reader.arguments(schema or {})
    return {key: coerce(item, properties(schema or {}).get(key, {})) for key, item in value.items()}


def write_arguments(builder: PromptBuilder, quote: int, value: object, *, quoted_keys: bool = False) -> None:
    """Append ``value`` in Gemma's notation, ``quote`` being the id of the quote token."""
    if isinstance(value, str):
        builder.marker(quote).text(value).marker(quote)
    elif isinstance(value, Mapping):
        builder.text("{")
        for index, (key, item) in enumerate(sorted_items(mapping(value))):  # pyright: ignore[reportUnknownArgumentType]
            builder.text("," if index else "")
            if quoted_keys:
                builder.marker(quote).text(key).marker(quote)
            else:
                builder.text(key)
            builder.text(":")
            write_arguments(builder, quote, item, quoted_keys=quoted_keys)
        builder.text("}")
    elif isinstance(value, list | tuple):
        builder.text("[")
        for index, item in enumerate(sequence(value)):  # pyright: ignore[reportUnknownArgumentType]
            builder.text("," if index else "")
            write_arguments(builder, quote, item, quoted_keys=quoted_keys)
        builder.text("]")
    else:
        builder.text(json.dumps(value) if value is None or isinstance(value, bool) else str(value))


class _Reader:
    """Recursive descent over one argument text; ``_open`` is the stack of brackets entered so far."""

    def __init__(self, text: str, truncated: bool) -> None:
        self._text = text
        self._truncated = truncated
        self._at = 0
        self._open: list[str] = []
        self._ended_by_string = False  # then closers may be missing behind it without loss

    def arguments(self, schema: Schema) -> dict[str, object]:
        self._skip()
        if not self._peek("{"):
            raise ArgumentsError("the arguments do not start with {")
        value = self._object(schema)
        self._skip()
        if self._at < len(self._text):
            rest = self._text[self._at : self._at + 20].replace(QUOTE, _WRITTEN_QUOTE)
            raise ArgumentsError(f"there is text behind the arguments: {rest!r}")
        return value

    def _object(self, schema: Schema) -> dict[str, object]:
        result: dict[str, object] = {}
        known = properties(schema)
        self._enter("{")
        while not self._leave("}"):
            key = self._key()
            self._skip()
            if not self._take(":"):
                raise ArgumentsError(f"there is no : behind the key {key!r}")
            result[key] = self._value(known.get(key, {}), frozenset(known))
            self._separator("}")
        return result

    def _array(self, schema: Schema) -> list[object]:
        result: list[object] = []
        items = mapping(schema.get("items"))
        self._enter("[")
        while not self._leave("]"):
            result.append(self._value(items, frozenset()))
            self._separator("]")
        return result

    def _value(self, schema: Schema, siblings: frozenset[str]) -> object:
        start = self._at
        self._skip()
        head = self._text[self._at : self._at + 1]
        self._ended_by_string = False
        if head == QUOTE:
            return self._quoted()
        if head == '"':
            return self._json_string()
        if head in ("'", "`"):
            text = self._other_quotes(head)
            if text is not None:
                return text
        if head == "{":
            return self._object(schema)
        if head == "[":
            return self._array(schema)
        return self._bare(schema, siblings, start)

    def _quoted(self) -> str:
        end = self._text.find(QUOTE, self._at + 1)
        if end < 0:
            return self._rest_as_string(self._at + 1)
        text = self._text[self._at + 1 : end]
        self._at = end + 1
        self._ended_by_string = True
        return text

    def _rest_as_string(self, start: int) -> str:
        """All that is left is the last string, up to the brackets that were open when it began."""
        if self._truncated:
            raise ArgumentsError("the call was cut off inside a string")
        end = len(self._text)
        for bracket in self._open:
            before = len(self._text[:end].rstrip())
            if before <= start or self._text[before - 1] != _CLOSING[bracket]:
                break
            end = before - 1
        self._at = end
        self._ended_by_string = True
        return self._text[start:end]

    def _json_string(self) -> str:
        """A JSON string; one whose escapes are invalid (``"C:\\users"``) is taken as it stands."""
        end = self._at + 1
        while end < len(self._text) and self._text[end] != '"':
            end += 2 if self._text[end] == "\\" else 1
        if end >= len(self._text):
            raise ArgumentsError("a string in double quotes is not closed")
        written = self._text[self._at : end + 1]
        self._at = end + 1
        self._take(QUOTE)
        self._ended_by_string = True
        try:
            value: object = json.loads(written, strict=False)
        except ValueError:
            return written[1:-1]
        return value if isinstance(value, str) else written[1:-1]

    def _other_quotes(self, quote: str) -> str | None:
        """A string in single or back-tick quotes; it ends at a quote with a delimiter behind it."""
        ending = re.compile(re.escape(quote) + QUOTE + r"?\s*(?=[,}\]]|$)")
        match = ending.search(self._text, self._at + 1)
        if match is None:
            return None
        text = self._text[self._at + 1 : match.start()]
        self._at = match.end()
        self._ended_by_string = True
        return text

    def _bare(self, schema: Schema, siblings: frozenset[str], start: int) -> object:
        if match := _NUMBER.match(self._text, self._at):
            if self._delimited(match.end()):
                return self._literal(match.group(), _number(match.group()))
        elif match := _WORD.match(self._text, self._at):
            word = match.group()
            if word.lower() in _LITERALS and self._delimited(match.end()):
                return self._literal(word, _LITERALS[word.lower()])
        allowed = types(schema)
        if "string" in allowed:
            return self._bare_string(siblings, start)
        if not allowed and (match := _WORD.match(self._text, self._at)) and self._delimited(match.end(), closed=True):
            self._at = match.end()
            return match.group()
        raise ArgumentsError(f"a value cannot be read: {self._text[self._at : self._at + 20]!r}")

    def _literal(self, raw: str, value: object) -> Bare:
        self._at += len(raw)
        return Bare(raw, value)

    def _bare_string(self, siblings: frozenset[str], start: int) -> str:
        """Unquoted text for a string property: up to the next known key, else to the end."""
        if siblings and self._open.count("{") == len(self._open):
            names = "|".join(map(re.escape, sorted(siblings, key=len, reverse=True)))
            if match := re.compile(rf",\s*(?=(?:{names})\s*:)").search(self._text, self._at):
                self._at = match.start()
                return self._text[start : match.start()]
        if self._open[-1] == "[" and (match := re.compile(r"\s*[,\]]").search(self._text, self._at)):
            self._at = match.start()
            return self._text[start : match.start()].strip()
        return self._rest_as_string(start)

    def _delimited(self, end: int, *, closed: bool = False) -> bool:
        """Whether a value may end here: before a delimiter, or (not ``closed``) at the end of the text."""
        after = _SPACE.match(self._text, end)
        at = after.end() if after else end
        return self._text[at] in ",}]" if at < len(self._text) else not closed

    def _key(self) -> str:
        self._skip()
        head = self._text[self._at : self._at + 1]
        if head == QUOTE:
            return self._quoted()
        if head == '"':
            return self._json_string()
        if head and head in "'`" and (end := self._text.find(head, self._at + 1)) > 0:
            key = self._text[self._at + 1 : end]
            self._at = end + 1
            return key
        match = _KEY.match(self._text, self._at)
        if match is None:
            raise ArgumentsError("a key is missing" if head else "the call was cut off")
        self._at = match.end()
        return match.group()

    def _separator(self, closing: str) -> None:
        self._skip()
        if self._take(",") or self._peek(closing):
            return
        if self._at >= len(self._text) and self._ended_by_string and not self._truncated:
            return
        raise ArgumentsError(f"there is no , or {closing} at {self._text[self._at : self._at + 20]!r}")

    def _enter(self, bracket: str) -> None:
        if len(self._open) >= 64:
            raise ArgumentsError("the arguments are nested too deeply")
        self._at += 1
        self._open.append(bracket)

    def _leave(self, closing: str) -> bool:
        self._skip()
        at_end = self._at >= len(self._text) and self._ended_by_string and not self._truncated
        if self._take(closing) or at_end:
            self._open.pop()
            return True
        return False

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        found = self._peek(text)
        self._at += len(text) if found else 0
        return found


def _number(text: str) -> object:
    return float(text) if any(char in text for char in ".eE") else int(text)
