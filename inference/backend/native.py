"""Memory that llama.cpp reads and writes while it works: its log lines, an abort flag, the columns of a batch.

Plain ctypes and numpy: nothing here calls llama.cpp or imports it.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.backend import Batch
from inference.sampling import FloatRow

Bytes = npt.NDArray[np.uint8]

_WHERE = re.compile(r"^(\w+: )+(error \w+ model[\w ]*: )*")  # llama.cpp's functions, and what all its messages share
_ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR in ggml.h (the numbers in llama_cpp._logger are older)


def pointer(array: npt.NDArray[Any], element: type[Any]) -> Any:
    """``array``'s memory as a pointer to ``element``; the caller keeps the array alive."""
    return ctypes.cast(ctypes.c_void_p(array.ctypes.data), ctypes.POINTER(element))


class RowViews:
    """numpy views of llama.cpp's rows of ``width`` floats, kept by address: it uses the same memory again and again."""

    def __init__(self, width: int) -> None:
        self._type = ctypes.c_float * width
        self._views: dict[int, FloatRow] = {}

    def at(self, address: int) -> FloatRow:
        """The row that begins at ``address``; valid as long as llama.cpp leaves it there."""
        view = self._views.get(address)
        if view is None:
            memory: Any = self._type.from_address(address)
            view = self._views[address] = np.frombuffer(memory, np.float32)
        return view


def returning_address(function: Any) -> Any:
    """A native function once more, with the pointer that it returns as a number (None for NULL): no object is made."""
    prototype: Any = ctypes.CFUNCTYPE(ctypes.c_void_p, *function.argtypes)
    return prototype(ctypes.cast(function, ctypes.c_void_p).value)


class NativeLog:
    """Keeps llama.cpp's last error lines for messages, and everything else off the terminal."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=4)
        self.callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(self._receive)

    def _receive(self, level: int, text: bytes, _data: object) -> None:
        if level == _ERROR_LEVEL:
            self._lines.append(text.decode("utf-8", "replace").strip())

    def clear(self) -> None:
        """Forget what was logged before."""
        self._lines.clear()

    def reason(self) -> str:
        """The first of the last errors, for a person: those after it only say that the whole failed."""
        if not self._lines:
            return "no reason given"
        return _WHERE.sub("", self._lines[0]).rstrip(".")


class AbortFlag:
    """A flag that native code polls without Python: the callback is ``strlen``, which is 0 for an empty buffer.

    llama.cpp asks once for every node of the graph, over a thousand times a decode. A callback in Python would cost
    milliseconds there and wait for the interpreter's lock whenever another thread holds it.
    """

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(2)
        libc = ctypes.CDLL("msvcrt") if os.name == "nt" else ctypes.CDLL(None)
        self.callback: Any = ctypes.cast(libc.strlen, ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p))
        self.data = ctypes.c_void_p(ctypes.addressof(self._buffer))

    def set(self) -> None:
        """From any thread: the next poll says stop."""
        self._buffer[0] = 1

    def clear(self) -> None:
        """Polls say go on."""
        self._buffer[0] = 0


class BatchColumns:
    """The memory behind one ``llama_batch`` that serves every decode: ctypes arrays, which take a few numbers faster
    than numpy's do."""

    def __init__(self, native_batch: Any, size: int) -> None:
        self._batch = native_batch
        self._tokens = (ctypes.c_int32 * size)()
        self._positions = (ctypes.c_int32 * size)()
        self._sequences = (ctypes.c_int32 * size)()
        self._logits = (ctypes.c_int8 * size)()
        self._counts = (ctypes.c_int32 * size)(*[1] * size)  # each row belongs to one sequence
        start = ctypes.addressof(self._sequences)
        self._addresses = (ctypes.c_void_p * size)(*range(start, start + 4 * size, 4))
        native_batch.token = self._tokens
        native_batch.pos = self._positions
        native_batch.n_seq_id = self._counts
        native_batch.seq_id = ctypes.cast(self._addresses, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
        native_batch.logits = self._logits

    def fill(self, batch: Batch) -> Any:
        """The native batch holding the rows of ``batch``, valid until the next call."""
        count = len(batch.tokens)
        self._tokens[:count] = batch.tokens
        self._positions[:count] = batch.positions
        self._sequences[:count] = batch.sequences
        self._logits[:count] = batch.logits
        self._batch.n_tokens = count
        return self._batch


class HiddenRow:
    """The memory behind a ``llama_batch`` of one row that holds both a token and the hidden state before it.

    ``width`` is the length of the hidden state in floats. llama.cpp's own allocator makes such a batch with one of the
    two only.
    """

    def __init__(self, native_batch: Any, width: int) -> None:
        self._batch = native_batch
        self._token = (ctypes.c_int32 * 1)()
        self._position = (ctypes.c_int32 * 1)()
        self._sequence = (ctypes.c_int32 * 1)()
        self._count = (ctypes.c_int32 * 1)(1)
        self._address = (ctypes.c_void_p * 1)(ctypes.addressof(self._sequence))
        self._logits = (ctypes.c_int8 * 1)(1)
        self._hidden = (ctypes.c_float * width)()
        self._bytes = ctypes.sizeof(self._hidden)
        self._start = ctypes.addressof(self._hidden)
        native_batch.n_tokens = 1
        native_batch.token = self._token
        native_batch.embd = self._hidden
        native_batch.pos = self._position
        native_batch.n_seq_id = self._count
        native_batch.seq_id = ctypes.cast(self._address, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32)))
        native_batch.logits = self._logits

    @property
    def native(self) -> Any:
        """The native batch, valid as long as this object lives."""
        return self._batch

    def place(self, position: int, sequence: int) -> None:
        """Where the row stands."""
        self._position[0] = position
        self._sequence[0] = sequence

    def fill(self, token: int, hidden: int) -> None:
        """The token, and the hidden state at the address ``hidden`` (copied)."""
        self._token[0] = token
        ctypes.memmove(self._start, hidden, self._bytes)
