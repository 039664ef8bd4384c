"""Source code as lines of coloured text; pygments knows the languages, the palette the colours.

Text that still grows is highlighted from the last safe line on, so that a token costs no more in a long file.
"""

from __future__ import annotations

from functools import lru_cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename  # pyright: ignore[reportUnknownVariableType]
from pygments.lexers.special import TextLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Token
from pygments.token import _TokenType as TokenType  # pyright: ignore[reportPrivateUsage] - it has no other name
from pygments.util import ClassNotFound
from rich.text import Text

from tui.palette import Palette

TAB = 4
_MOST_CHARACTERS = 60_000  # beyond, plain text: highlighting would be felt
_KEEP_OPEN = 6  # lines at the end of growing text that are highlighted anew each time
_COMMIT_AT = 16  # lines of growing text before the first of them are settled

Tokens = list[tuple[TokenType, str]]


def highlight(code: str, language: str, palette: Palette) -> list[Text]:
    """One Text a line, tabs expanded; plain for an unknown ``language`` (a name, or a file's name)."""
    code = code.expandtabs(TAB)
    if len(code) > _MOST_CHARACTERS:
        return [Text(line, palette.text) for line in code.split("\n")]
    return _lines(_tokens(code, _lexer(language)), palette)


class GrowingCode:
    """Highlights a text that only grows; the last few lines may be a little wrong until the end."""

    def __init__(self, language: str, palette: Palette) -> None:
        self._lexer = _lexer(language)
        self._palette = palette
        self._at = 0  # characters settled

    def advance(self, code: str) -> tuple[list[Text], list[Text]]:
        """Lines that are settled since the last call, and the open ones behind them.

        ``code`` is the whole text and begins with what was given before.
        """
        rest = code[self._at :]
        tokens = _tokens(rest.expandtabs(TAB), self._lexer)
        lines = _lines(tokens, self._palette)
        cut = 0
        if rest.count("\n") >= _COMMIT_AT:
            cut = _safe_cut(tokens, rest.count("\n") - _KEEP_OPEN)
            self._at += sum(len(line) + 1 for line in rest.split("\n")[:cut])
        return lines[:cut], lines[cut:]


def _safe_cut(tokens: Tokens, wanted: int) -> int:
    """A number of lines, at least ``wanted``, behind which no string or comment goes on; 0 when there is none."""
    line = 0
    for kind, text in tokens:
        ends = text.count("\n")
        spans = ends > (1 if text.endswith("\n") else 0) or (kind in String and not text.endswith("\n") and ends)
        if not spans and ends and line + ends >= wanted and kind not in String:
            return line + ends
        line += ends
    return 0


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer:
    language = language.strip().lower()
    try:
        if "." in language or "/" in language:
            return get_lexer_for_filename(language, stripnl=False, ensurenl=False)
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False, ensurenl=False)


def _tokens(code: str, lexer: Lexer) -> Tokens:
    return list(lexer.get_tokens(code))


def _lines(tokens: Tokens, palette: Palette) -> list[Text]:
    lines = [Text(end="")]
    for kind, value in tokens:
        style = _style(kind, palette)
        first, *more = value.split("\n")
        if first:
            lines[-1].append(first, style)
        for part in more:
            lines.append(Text(end=""))
            lines[-1].append(part, style)
    return lines


def _style(kind: TokenType, palette: Palette) -> str:
    return str(getattr(palette, _role(kind)))


@lru_cache(maxsize=256)
def _role(kind: TokenType) -> str:
    return next((role for family, role in _ROLES if kind in family), "text")


_ROLES: tuple[tuple[TokenType, str], ...] = (
    (Comment, "comment"),
    (Keyword.Constant, "number"),
    (Keyword.Type, "kind"),
    (Keyword, "keyword"),
    (Operator.Word, "keyword"),
    (String, "string"),
    (Number, "number"),
    (Name.Function, "function"),
    (Name.Class, "kind"),
    (Name.Decorator, "function"),
    (Name.Builtin, "kind"),
    (Name.Exception, "kind"),
    (Name.Tag, "keyword"),
    (Token.Generic.Deleted, "removed_mark"),
    (Token.Generic.Inserted, "added_mark"),
    (Token.Generic.Heading, "heading"),
)
