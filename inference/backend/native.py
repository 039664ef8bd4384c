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

Bytes = npt.NDArray[np.uint8]

_WHERE = re.compile(r"^(\w+: )+(error \w+ model[\w ]*: )*")  # llama.cpp's functions, and what all its messages share
_ERROR_LEVEL = 4  # GGML_LOG_LEVEL_ERROR in ggml.h (the numbers in llama_cpp._logger are older)


def pointer(array: npt.NDArray[Any], element: type[Any]) -> Any:
    """``array``'s memory as a pointer to ``element``; the caller keeps the array alive."""
    return ctypes.cast(ctypes.c_void_p(array.ctypes.data), ctypes.POINTER(element))


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
    """The memory behind one ``llama_batch`` that serves every decode; numpy arrays filled by slices."""

    def __init__(self, native_batch: Any, size: int) -> None:
        self._batch = native_batch
        self._tokens = np.zeros(size, np.int32)
        self._positions = np.zeros(size, np.int32)
        self._sequences = np.zeros(size, np.int32)
        self._logits = np.zeros(size, np.int8)
        self._counts = np.ones(size, np.int32)  # each row belongs to one sequence
        self._addresses = (self._sequences.ctypes.data + 4 * np.arange(size)).astype(np.uintp)
        native_batch.token = pointer(self._tokens, ctypes.c_int32)
        native_batch.pos = pointer(self._positions, ctypes.c_int32)
        native_batch.n_seq_id = pointer(self._counts, ctypes.c_int32)
        native_batch.seq_id = pointer(self._addresses, ctypes.POINTER(ctypes.c_int32))
        native_batch.logits = pointer(self._logits, ctypes.c_int8)

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
        self._token = np.zeros(1, np.int32)
        self._position = np.zeros(1, np.int32)
        self._sequence = np.zeros(1, np.int32)
        self._count = np.ones(1, np.int32)
        self._address = np.array([self._sequence.ctypes.data], np.uintp)
        self._logits = np.ones(1, np.int8)
        self._hidden = np.zeros(width, np.float32)
        self._bytes = self._hidden.nbytes
        self._start = self._hidden.ctypes.data
        native_batch.n_tokens = 1
        native_batch.token = pointer(self._token, ctypes.c_int32)
        native_batch.embd = pointer(self._hidden, ctypes.c_float)
        native_batch.pos = pointer(self._position, ctypes.c_int32)
        native_batch.n_seq_id = pointer(self._count, ctypes.c_int32)
        native_batch.seq_id = pointer(self._address, ctypes.POINTER(ctypes.c_int32))
        native_batch.logits = pointer(self._logits, ctypes.c_int8)

    @property
    def native(self) -> Any:
        """The native batch, valid as long as this object lives."""
        return self._batch

    def place(self, position: int, sequence: int) -> None:
        """Where the row stands."""
        self._position[0] = position
        self._sequence[0] = sequence

    def fill(self, token: int, hidden: Any) -> None:
        """The token, and the hidden state that the native pointer ``hidden`` leads to (copied)."""
        self._token[0] = token
        ctypes.memmove(self._start, hidden, self._bytes)
