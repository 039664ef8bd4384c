"""``inference.tokenizer.Tokenizer`` over the vocabulary of an engine host: asks, and remembers pieces and markers.

It loads no vocabulary: a question is answered in a fraction of a millisecond, a vocabulary would take up to half a
second, and llama.cpp in this process. Each question waits for its answer in the calling thread, on a connection of its
own.
"""

from __future__ import annotations

import select
import socket
import threading
from typing import TypeVar

from inference.errors import EngineLost
from inference.wire import (
    HEADER,
    AskTokens,
    Encode,
    Facts,
    Failure,
    FindToken,
    Ids,
    Tokens,
    WireError,
    decode,
    encode,
    payload_length,
)

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 30.0
"""For one answer; a host that takes longer is stuck."""

_BLOCK = 1024  # ids asked at once: 0.5 ms


class RemoteTokenizer:
    """See the module; safe to use from any thread. A host that comes after a lost one has the same vocabulary."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._blocks: dict[int, tuple[list[bytes], frozenset[int]]] = {}

    @property
    def n_vocab(self) -> int:
        """Number of token ids."""
        return self._facts.n_vocab

    @property
    def bos_id(self) -> int | None:
        """The id that starts a prompt, when the model wants one."""
        return self._facts.bos_id

    @property
    def eog_ids(self) -> frozenset[int]:
        """Ids that end a generation."""
        return self._facts.eog_ids

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text, without BOS and without parsing control tokens; raises EngineLost."""
        message = Encode(text.encode("utf-8", "replace").decode("utf-8"))
        return list(self._ask(message, Ids).ids)

    def piece(self, token_id: int) -> bytes:
        """The bytes of one token; raises IndexError outside the vocabulary, EngineLost."""
        return self._block(token_id)[0][token_id % _BLOCK]

    def token_id(self, written: str) -> int:
        """The id whose written form is exactly ``written``; raises KeyError, EngineLost."""
        ids = self._ask(FindToken(written), Ids).ids
        if not ids:
            raise KeyError(written)
        return ids[0]

    def is_control(self, token_id: int) -> bool:
        """Whether the token is a marker rather than text; raises IndexError outside the vocabulary, EngineLost."""
        return token_id in self._block(token_id)[1]

    def connect(self, connection: socket.socket | None) -> None:
        """Ask there from now on; None: nobody."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = connection
            if connection is not None:
                connection.settimeout(PATIENCE_SECONDS)

    def answers(self) -> bool:
        """Whether there is somebody to ask, as far as that is known without asking."""
        with self._lock:
            if self._connection is None:
                return False
            events = select.poll()
            events.register(self._connection, select.POLLIN)
            return not events.poll(0)  # nothing is asked now: what can be read is the end

    def _block(self, token_id: int) -> tuple[list[bytes], frozenset[int]]:
        if not 0 <= token_id < self.n_vocab:
            raise IndexError(f"token id {token_id} is outside a vocabulary of {self.n_vocab}")
        number = token_id // _BLOCK
        block = self._blocks.get(number)
        if block is None:
            start = number * _BLOCK
            told = self._ask(AskTokens(start, min(start + _BLOCK, self.n_vocab)), Tokens)
            pieces = [piece.encode("latin-1") for piece in told.pieces]
            block = self._blocks[number] = (pieces, frozenset(told.markers))
        return block

    def _ask(self, question: object, answer: type[Answer]) -> Answer:
        """One question and its answer; raises EngineLost."""
        with self._lock:
            try:
                if self._connection is None:
                    raise ConnectionError
                self._connection.sendall(encode(question))
                header = self._read(self._connection, HEADER.size)
                found, _ = decode(header, self._read(self._connection, payload_length(header)))
            except (OSError, WireError) as error:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                raise EngineLost("The engine's process has ended; ask again and it is started anew.") from error
        if isinstance(found, Failure):
            raise EngineLost(found.message)
        if not isinstance(found, answer):
            raise EngineLost("The engine's process gave an answer to another question; ask again.")
        return found

    @staticmethod
    def _read(connection: socket.socket, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = connection.recv(min(count - len(data), 1 << 20))
            if not piece:
                raise ConnectionError
            data += piece
        return bytes(data)
