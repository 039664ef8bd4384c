"""Arguments to try a function with, guessed from the names of its parameters; as source text.

It calls nothing.
"""

from __future__ import annotations

import random
import re

_TEXTS = (
    "'hello world'", "'  two  spaces '", "''", "'a,b,c'", "'key=value'", "'Hello, World!'", "'x'", "'one\\ntwo\\n  x'",
    "'/usr/local/lib/file.tar.gz'", "'a-b_c d'", "'3.14'", "'42'", "'ABC def'", "'<b>bold</b> & more'", "'0x1f'",
    "'2024-02-29'", "'http://example.com/a?b=1#c'", "'first second third'", "'%s is %d'", "'\\ttab'", "'a/b/../c.txt'",
    "'1.2.3'", "'user@example.com'", "'abcabc'", "'a: b; c'", "'(x + y) * 2'", "'yes'", "'\"quoted\" text'",
)  # fmt: skip
_NUMBERS = ("0", "1", "2", "3", "5", "7", "8", "10", "12", "42", "100", "-1", "-3", "255", "1024", "2024")
_FLOATS = ("0.0", "0.5", "1.5", "2.25", "-1.0", "3.0", "10.0", "99.9")
_LISTS = (
    "[]", "[1]", "[1, 2, 3]", "[3, 1, 2]", "['a', 'b', 'c']", "['one two', 'three']", "[1, 1, 2]", "[[1, 2], [3, 4]]",
    "[('a', 1), ('b', 2)]", "(1, 2)", "('x', 'y', 'z')", "[0, 5, 10, 15]", "[True, False]", "['']", "[2.5, 1.5]",
)  # fmt: skip
_MAPPINGS = ("{}", "{'a': 1}", "{'b': 2, 'a': 1}", "{'name': 'x', 'size': 3}", "{1: 'one', 2: 'two'}", "{'k': [1, 2]}")
_BYTES = ("b''", "b'abc'", "b'hello world'", "b'\\x00\\x01\\x02'", "b'a=1&b=2'", "b'line one\\r\\nline two'")
_TRUTHS = ("True", "False")
_CALLABLES = ("len", "str", "abs", "int", "str.upper", "bool")
_NOTHING = ("None",)

_GUESSES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"^(?:data|buf|buffer|payload|raw|b|octets?)$|bytes", (*_BYTES, *_TEXTS[:6])),
    (r"^(?:is|has|allow|strict|quiet|verbose|reverse|ignore|keep|force|use|with)(?:_|$)|flag", _TRUTHS),
    (r"^(?:f|func|function|fn|callback|pred|predicate|key)$", (*_CALLABLES, *_TEXTS[:4])),
    (r"^(?:d|dct|dict|mapping|options|opts|kwargs|headers|params|attrs|env|table|config)$", _MAPPINGS),
    (r"^(?:l|lst|list|seq|sequence|items?|iterable|values?|args|elements|data|parts|rows|lines|words|names|points|xs|a)$",
     (*_LISTS, *_TEXTS[:4])),
    (r"^(?:i|j|k|n|m|num|number|count|size|width|height|length|start|stop|end|step|index|pos|position|offset|limit|depth"
     r"|level|indent|port|code|bits|base|year|month|day|hour|minute|second|lo|hi|low|high|lineno|row|col|column|x|y)$",
     (*_NUMBERS, *_NUMBERS[:8])),
    (r"ratio|scale|factor|alpha|weight|timeout|delay|mu|sigma|prob|rate", (*_FLOATS, *_NUMBERS[:6])),
    (r"^(?:s|st|str|string|text|line|word|name|title|path|filename|file|url|uri|sep|prefix|suffix|pattern|char|c|ch|key"
     r"|value|msg|message|host|address|version|spec|source|code|token|tag|label|fmt|format|encoding|expr|query|mode)$"
     r"|_(?:str|string|name|path|text)$", _TEXTS),
)  # fmt: skip
_ANY = (*_TEXTS, *_NUMBERS, *_LISTS, *_MAPPINGS, *_FLOATS[:3], *_TRUTHS, *_BYTES[:2], *_NOTHING)
_ANNOTATED = {"str": _TEXTS, "int": _NUMBERS, "float": (*_FLOATS, *_NUMBERS[:6]), "bool": _TRUTHS, "bytes": _BYTES}


def guess(parameter: str, annotation: str, chance: random.Random) -> str:
    """Source text of a value for a parameter; ``annotation`` is its type as written, empty for none."""
    plain = annotation.strip("'\"").split("|", maxsplit=1)[0].strip()
    if plain in _ANNOTATED:
        return chance.choice(_ANNOTATED[plain])
    if re.match(r"(?:list|List|Sequence|Iterable|tuple|Tuple|Collection|Iterator)\b", plain):
        return chance.choice(_LISTS)
    if re.match(r"(?:dict|Dict|Mapping|MutableMapping)\b", plain):
        return chance.choice(_MAPPINGS)
    fitting = [values for pattern, values in _GUESSES if re.search(pattern, parameter.lower())]
    if fitting and chance.random() < 0.85:
        return chance.choice(chance.choice(fitting))
    return chance.choice(_ANY)
