"""What an engine host and its clients say to each other over their socket: frames of JSON, checked where they come in.

It opens no socket and knows neither side; ``inference.host`` and ``inference.client`` do.

A frame is a header of nine bytes (length of the payload, kind of message, number of the stream it belongs to, all
big-endian) and the message as JSON. Stream 0 is the connection itself. Both sides come from one build (``Hello``), so
only the messages of the handshake must stay readable for other versions; those ignore what they do not know.
"""

from __future__ import annotations

import asyncio
import functools
import struct
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from inference.request import (
    BranchDecoded,
    BranchFinished,
    Finished,
    PrefillProgress,
    Request,
    Scored,
    TokensDecoded,
)

HEADER = struct.Struct(">IBI")
MAX_PAYLOAD = 32 << 20
"""Bytes. A prompt of 262,144 ids takes 2 MB; a text to be encoded may be as long as a file that somebody names."""


class WireError(Exception):
    """What came is no frame of ours: too long, of an unknown kind, or not what its kind says. It quotes no content."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A client's first message: the build that it is of."""

    build: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """A host's answer to Hello: the build that it is of, and its process id."""

    build: str
    pid: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Asks a host to go: ``now``; when its last client is gone, seen by no new one (``finished``); or only if it has
    none (``unused``)."""

    when: Literal["now", "finished", "unused"]


@dataclass(frozen=True, slots=True)
class Leaving:
    """The answer to Leave: whether the host goes."""

    goes: bool


@dataclass(frozen=True, slots=True)
class Attach:
    """From now on the connection is a client's; answered by Loading until the model is there, then Facts or Failure."""


@dataclass(frozen=True, slots=True)
class Loading:
    """The part of the model that is loaded, 0.0 to 1.0."""

    fraction: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What a client needs to know of the loaded model."""

    model_name: str
    architecture: str
    context_tokens: int
    n_vocab: int
    bos_id: int | None
    eog_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Failure:
    """The stream, or the load, ended with the error named ``error`` of ``inference.errors``.

    ``numbers`` are what the error was made with besides its ``message``.
    """

    error: str
    message: str
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the request of this stream."""


@dataclass(frozen=True, slots=True)
class Encode:
    """Asks for the ids of a plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class FindToken:
    """Asks for the id of the token that is written so."""

    written: str


@dataclass(frozen=True, slots=True)
class Ids:
    """The answer to Encode and FindToken (none: there is no such token)."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AskTokens:
    """Asks what the ids from ``start`` to before ``stop`` stand for."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """The answer to AskTokens: their bytes, each as the characters U+0000 to U+00FF, and which of them are markers."""

    pieces: tuple[str, ...]
    markers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AskStatus:
    """Asks a host how it is."""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """How a host is. ``model`` is the path of the file; ``since`` seconds of the Unix epoch.

    ``served`` requests have ended, ``running`` ones have not. ``resident`` bytes are in memory, of which ``private``
    ones are no mapped file.
    """

    pid: int
    model: str
    loaded: bool
    since: float
    clients: int
    running: int
    served: int
    resident: int
    private: int


EVENTS = (PrefillProgress, TokensDecoded, BranchDecoded, BranchFinished, Scored, Finished)

# The position is the kind; those of the handshake keep theirs for ever.
_MESSAGES: tuple[type[Any], ...] = (
    *(Hello, Welcome, Leave, Leaving),
    *(Attach, Loading, Facts, Failure),
    *(Request, Cancel, *EVENTS),
    *(Encode, FindToken, Ids, AskTokens, Tokens, AskStatus, HostStatus),
)
_KINDS = {message: kind for kind, message in enumerate(_MESSAGES)}
# A probability of 0 has the logarithm minus infinity, for which JSON has no word of its own.
_CONFIG = ConfigDict(ser_json_inf_nan="constants", hide_input_in_errors=True)


@functools.cache
def _adapter(kind: int) -> TypeAdapter[tuple[Any]]:
    # A tuple, because only what is no dataclass itself takes a configuration.
    one_of_kind: Any = GenericAlias(tuple, (_MESSAGES[kind],))
    return TypeAdapter(one_of_kind, config=_CONFIG)


def encode(message: Any, stream: int = 0) -> bytes:
    """The frame of a message; raises WireError for one that no frame may hold."""
    kind = _KINDS[type(message)]
    payload = _adapter(kind).dump_json((message,))
    if len(payload) > MAX_PAYLOAD:
        raise WireError(f"a message of {len(payload):,} bytes is too long")
    return HEADER.pack(len(payload), kind, stream) + payload


def payload_length(header: bytes) -> int:
    """How many bytes follow a header; raises WireError."""
    length, kind, _ = HEADER.unpack(header)
    if length > MAX_PAYLOAD or kind >= len(_MESSAGES):
        raise WireError("a frame is too long or of an unknown kind")
    return length


def decode(header: bytes, payload: bytes) -> tuple[Any, int]:
    """A message and the number of its stream; raises WireError."""
    _, kind, stream = HEADER.unpack(header)
    try:
        return _adapter(kind).validate_json(payload, strict=True)[0], stream
    except ValidationError as error:
        raise WireError(f"a message of kind {kind} is not what it should be") from error


async def read_message(reader: asyncio.StreamReader) -> tuple[Any, int] | None:
    """The next message and the number of its stream; None at the end. Raises WireError, or OSError."""
    try:
        header = await reader.readexactly(HEADER.size)
        return decode(header, await reader.readexactly(payload_length(header)))
    except asyncio.IncompleteReadError:
        return None
