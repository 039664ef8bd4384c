"""Reads JSON as small models write it: raw newlines, invalid escapes, trailing commas, Python literals, lost closers.

It mends only what has one reading; anything else is an error. It knows no tool.
"""

from __future__ import annotations

import json
import re
from typing import cast

_PIECE = re.compile(
    r'''(?P<triple>"""(?P<body>.*?)""")'''
    r"""|(?P<string>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<single>'(?:[^'\\]|\\.)*')"""
    r"""|(?P<comment>(?://|\#)[^\n]*)"""
    r"""|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<bracket>[{}\[\]])"""
    r"""|(?P<other>[^"'{}\[\]A-Za-z_/#]+|.)""",
    re.DOTALL,
)
_BAD_ESCAPE = re.compile(r'\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})|\\\\')
_ESCAPED = r"\\\\"  # a template of re.sub for two backslashes: an invalid escape was a plain backslash
_TRAILING_COMMA = re.compile(r",\s*$")
_WORDS = {"True": "true", "False": "false", "None": "null"}
_PAIRS = {"{": "}", "[": "]"}


def loads(text: str, *, truncated: bool = False) -> object:
    """The first JSON value in ``text``; closers that are missing at its end are added unless it was ``truncated``.

    Raises ValueError when there is no single reading.
    """
    text = text.strip()
    try:
        return cast("object", json.JSONDecoder(strict=False).raw_decode(text)[0])
    except ValueError:
        return cast("object", json.loads(_mend(text, truncated), strict=False))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _mend(text: str, truncated: bool) -> str:
    written: list[str] = []
    closers: list[str] = []
    for piece in _PIECE.finditer(text):
        kind, found = piece.lastgroup, piece.group()
        if piece["triple"] is not None:
            written.append(json.dumps(piece["body"]))
        elif kind == "string":
            written.append(_BAD_ESCAPE.sub(_ESCAPED, found))
        elif kind == "single":
            written.append(_requote(found))
        elif kind == "word":
            written.append(_WORDS.get(found, found))
        elif kind == "bracket":
            if found in _PAIRS:
                closers.append(_PAIRS[found])
            elif not closers or closers.pop() != found:
                raise ValueError("the brackets do not match")
            else:
                _drop_comma(written)
            written.append(found)
            if not closers:
                return "".join(written)
        elif kind != "comment":
            written.append(found)
    if truncated or not closers:
        raise ValueError("the JSON is cut off")
    _drop_comma(written)
    return "".join(written) + "".join(reversed(closers))


def _drop_comma(written: list[str]) -> None:
    while written and not written[-1].strip():
        written.pop()
    if written:
        written[-1] = _TRAILING_COMMA.sub("", written[-1])


def _requote(single: str) -> str:
    body = single[1:-1].replace("\\'", "'")
    return '"' + _BAD_ESCAPE.sub(_ESCAPED, re.sub(r'(?<!\\)"', r"\"", body)) + '"'
