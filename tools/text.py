"""Text files as text and back, so that what was not edited stays byte for byte: encoding and byte order mark.

Line ends are not touched here; ``tools.matching`` sees through them.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class TextFile:
    """Decoded content: the text without its byte order mark, and what is needed to write it back."""

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""

    def encode(self, text: str) -> bytes:
        """``text`` as bytes in this file's form; raises UnicodeEncodeError for a character its encoding lacks."""
        return self.mark + text.encode(self.encoding)


def decode(content: bytes) -> TextFile:
    """Content as text: by its byte order mark, else UTF-8, else Latin-1 (which keeps every byte)."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                return TextFile(content[len(mark) :].decode(encoding), encoding, mark)
            except UnicodeDecodeError:
                break
    try:
        return TextFile(content.decode("utf-8"))
    except UnicodeDecodeError:
        return TextFile(content.decode("latin-1"), "latin-1")


def is_binary(content: bytes) -> bool:
    """Whether content is no text: a NUL byte near its start and no UTF-16 mark."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    return b"\0" in content[:8192]


def newline_of(text: str) -> str:
    r"""The line end that a text uses most: ``\r\n`` or ``\n``."""
    crlf = text.count("\r\n")
    return "\r\n" if crlf * 2 > text.count("\n") else "\n"
