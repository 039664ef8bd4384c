"""The grammar of Gemma 4's tool calls, from the tools' schemas, in llguidance's dialect of Lark.

Keys come sorted, as in the model's training. Whether a call makes sense is not decided here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agent.messages import ToolSpec
from agent.model import Quotable
from agent.model.formats.gemma4_tokens import Gemma4Tokens
from agent.model.formats.schema import Schema, mapping, properties, sequence, simplify, sorted_items, types
from inference.request import Passage

_COMMON = r"""
number: /-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?([eE][-+]?[0-9]{1,2})?/
integer: /-?(0|[1-9][0-9]{0,14})/
boolean: "true" | "false"
null: "null"
TEXT: /(.|\n)*/
KEY: /[A-Za-z_][A-Za-z0-9_]{0,63}/
any: string | number | boolean | null | "[" [any ("," any)*] "]" | "{" [pair ("," pair)*] "}"
pair: KEY ":" any
"""


_MOST_QUOTABLE = 200_000
"""Characters; the grammar goes to the engine with every request."""


def call_grammar(
    tools: Sequence[ToolSpec], tokens: Gemma4Tokens, *, with_marker: bool, quotable: Quotable | None = None
) -> str:
    """One call of one of ``tools``, from the name on, or from the opening marker on when ``with_marker``."""
    rules = list[str]()
    quotable = _usable(quotable)
    calls = list[str]()
    for tool in tools:
        writer = _Writer(tokens, rules, quotable if quotable and quotable.tool == tool.name else None)
        calls.append(f"{_literal('call:' + tool.name)} {writer.object(simplify(tool.parameters))}")
    opening = f"<[{tokens.call_open}]> " if with_marker else ""
    start = f"start: {opening}call <[{tokens.call_close}]>\ncall: {' | '.join(calls)}"
    return "\n".join([start, f"string: <[{tokens.quote}]> TEXT <[{tokens.quote}]>", *rules]) + _COMMON


def passages(tokens: Gemma4Tokens, quotable: Quotable | None) -> tuple[Passage, ...]:
    """What quotations are held to besides: a piece that stands there twice names no place, so it must go on, and what
    replaces a piece must change it."""
    quotable = _usable(quotable)
    if quotable is None:
        return ()
    texts = tuple(text for _, text in quotable.quoted)
    return (
        Passage(f"{quotable.quote}:", tokens.quote, texts),
        Passage(f"{quotable.instead}:", tokens.quote, unlike=True),
    )


def _usable(quotable: Quotable | None) -> Quotable | None:
    size = sum(len(text) for _, text in quotable.files) if quotable else 0
    return quotable if 0 < size <= _MOST_QUOTABLE else None


def answer_grammar(tokens: Gemma4Tokens, *, thinks: bool, in_thought: bool) -> str:
    """An answer in words: no call."""
    thought = f"TEXT <[{tokens.channel_close}]>"
    if not in_thought:
        thought = f"<[{tokens.channel_open}]> {thought}"
    before = thought if in_thought else f"[{thought}]" if thinks else ""
    return f"start: {before} TEXT <[{tokens.turn_close}]>\nTEXT: /(.|\\n)*/\n"


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class _Writer:
    """Turns a tool's schema into rule bodies; ``rules`` collects the named rules they refer to."""

    def __init__(self, tokens: Gemma4Tokens, rules: list[str], quotable: Quotable | None) -> None:
        self._tokens = tokens
        self._rules = rules
        self._quotable = quotable

    def object(self, schema: Schema) -> str:
        """An object with the known properties in sorted order, the required ones always there."""
        known = sorted_items(properties(schema))
        if not known:
            return '"{" [pair ("," pair)*] "}"' if schema.get("additionalProperties", True) is not False else '"{}"'
        required = {name for name in sequence(schema.get("required")) if isinstance(name, str)}
        members = [(f"{_literal(name + ':')} {self._argument(name, item)}", name in required) for name, item in known]
        return '"{" ' + self._members(members) + ' "}"'

    def _argument(self, name: str, schema: object) -> str:
        held = self._quotable
        if held and name == held.path:
            return self._value({"enum": list(dict.fromkeys(path for path, _ in held.quoted))})
        if held and name == held.quote:
            pieces = [
                self._rule(f"%regex {json.dumps({'substring_chars': text})}", name="PIECE") for _, text in held.quoted
            ]
            quote = f"<[{self._tokens.quote}]>"
            return f"{quote} ({' | '.join(pieces)}) {quote}"
        return self._value(mapping(schema))

    def _members(self, members: Sequence[tuple[str, bool]]) -> str:
        """Any of the members in order with commas between: ``first | second ...``, each followed by its tail."""
        rest = ""  # the rule of what may follow once something was written
        firsts: list[str] = []
        for body, required in reversed(members):
            name = self._rule(body)
            if required:
                firsts.clear()
            firsts.append(f"{name} {rest}".rstrip())
            following = f'"," {name}'
            rest = self._rule(f"{following if required else f'({following})?'} {rest}".rstrip())
        choice = f"({' | '.join(reversed(firsts))})"
        return choice if any(required for _, required in members) else f"{choice}?"

    def _rule(self, body: str, name: str = "r") -> str:
        """The full name of a new rule; of a terminal, where ``name`` is in capitals."""
        name = f"{name}{len(self._rules)}"
        self._rules.append(f"{name}: {body}")
        return name

    def _value(self, schema: Schema) -> str:
        if "enum" in schema:
            return "(" + " | ".join(self._constant(value) for value in sequence(schema["enum"])) + ")"
        if "anyOf" in schema:
            options = [self._value(mapping(option)) for option in sequence(schema["anyOf"])]
        else:
            options = [self._typed(kind, schema) for kind in sorted(types(schema))]
        if schema.get("nullable") and "null" not in options:
            options.append("null")
        return "(" + " | ".join(options) + ")" if options else "any"

    def _typed(self, kind: str, schema: Schema) -> str:
        if kind == "object":
            return self._rule(self.object(schema))
        if kind == "array":
            item = self._rule(self._value(mapping(schema.get("items"))))
            listed = f'{item} ("," {item})*'
            return f'"[" {listed} "]"' if schema.get("minItems") else f'"[" [{listed}] "]"'
        return kind if kind in ("string", "number", "integer", "boolean", "null") else "any"

    def _constant(self, value: object) -> str:
        if isinstance(value, str):
            quote = f"<[{self._tokens.quote}]>"
            return f"{quote} {_literal(value)} {quote}" if value else f"{quote} {quote}"
        if isinstance(value, Mapping | list | tuple):
            return "any"
        return _literal(json.dumps(value, ensure_ascii=False))
