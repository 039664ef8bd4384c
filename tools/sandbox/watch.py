"""Whether any of some files was opened meanwhile (inotify): for files that cannot be hidden.

It prevents nothing.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_IN_OPEN = 0x20  # linux/inotify.h
_EVENT = struct.Struct("iIII")


class OpenWatch:
    """Watches the files from its making to ``close``; what it saw is known for good."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._names: dict[int, Path] = {}
        self._opened: dict[Path, None] = {}
        self._closed = False
        library = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        for path in paths:
            number: int = library.inotify_add_watch(self._descriptor, os.fsencode(path), _IN_OPEN)
            if number >= 0:
                self._names[number] = path

    def opened(self) -> list[Path]:
        """The files that were opened so far, each once."""
        while not self._closed:
            try:
                data = os.read(self._descriptor, 65_536)
            except BlockingIOError:
                break
            at = 0
            while at < len(data):
                number, _mask, _cookie, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size + length
                if number in self._names:
                    self._opened[self._names[number]] = None
        return list(self._opened)

    def close(self) -> None:
        """Watch no longer."""
        if not self._closed:
            self.opened()
            self._closed = True
            os.close(self._descriptor)
