"""Bounded text for the model: long output keeps its head and its tail, long lines their beginning.

It is not about tokens; callers give limits in characters, about four to a token.
"""

from __future__ import annotations

from collections import deque

MAX_LINE = 500


def cut_line(line: str, limit: int = MAX_LINE) -> str:
    """A line with at most ``limit`` characters, and how many more it had."""
    return line if len(line) <= limit else f"{line[:limit]} ... ({len(line) - limit} more characters)"


def head_and_tail(text: str, limit: int) -> str:
    """``text``, or when longer than ``limit`` its first third and its last part, with a note of the omitted lines."""
    if len(text) <= limit:
        return text
    head, tail = text[: limit // 3], text[len(text) - (limit - limit // 3) :]
    return _joined(head, tail, text.count("\n"))


def certain_head(text: str, limit: int) -> str:
    """The whole lines that ``head_and_tail`` will show first of a text that begins with ``text`` and still grows."""
    kept = text[: limit // 3]
    return kept[: kept.rfind("\n") + 1]


def numbered(lines: list[str], first: int) -> str:
    """Lines as the read tool shows them: a right-aligned number, a tab, the text."""
    return "\n".join(f"{first + index:>4}\t{cut_line(line)}" for index, line in enumerate(lines))


class HeadTail:
    """Collects a stream in bounded memory: its first and its last bytes. One writer."""

    def __init__(self, head: int = 8_000, tail: int = 16_000) -> None:
        self._head_limit, self._tail_limit = head, tail
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._line_ends = 0
        self.total = 0

    def add(self, piece: bytes) -> None:
        """Append a piece."""
        self.total += len(piece)
        self._line_ends += piece.count(b"\n")
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += piece[:room]
            piece = piece[room:]
        if not piece:
            return
        self._tail.append(piece)
        self._tail_size += len(piece)
        while self._tail_size - len(self._tail[0]) >= self._tail_limit:
            self._tail_size -= len(self._tail.popleft())

    def text(self) -> str:
        """What is kept, as text; bytes that are no UTF-8 are replaced."""
        tail = b"".join(self._tail)
        extra = max(0, len(tail) - self._tail_limit)
        head = bytes(self._head).decode("utf-8", "replace")
        if not extra and self.total == len(self._head) + len(tail):
            return (bytes(self._head) + tail).decode("utf-8", "replace")
        return _joined(head, tail[extra:].decode("utf-8", "replace"), self._line_ends)


def _joined(head: str, tail: str, line_ends: int) -> str:
    """Head and tail of a text with so many line ends, cut at line ends where one is near, the note between them."""
    end = head.rfind("\n")
    if end > len(head) // 2:
        head = head[:end]
    start = tail.find("\n")
    if 0 <= start < len(tail) // 2:
        tail = tail[start + 1 :]
    omitted = line_ends - head.count("\n") - 1 - tail.count("\n")
    note = f"{omitted} lines omitted" if omitted > 1 else "the middle omitted"
    return f"{head}\n... {note} ...\n{tail}"
