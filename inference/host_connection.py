"""One connection of an engine host: what comes in is checked and carried out, events go back as they come.

What a client does wrong ends its own connection and nothing else. Nothing that it sends is logged.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any, Protocol

from inference.errors import ContextOverflow, EngineError, HostUnreachable
from inference.host_files import require_own
from inference.in_process import InProcessEngine
from inference.jobs import EngineStream
from inference.request import Request
from inference.request_check import check_request
from inference.tokenizer import Tokenizer
from inference.wire import (
    AskStatus,
    AskTokens,
    Attach,
    Cancel,
    Encode,
    Facts,
    Failure,
    FindToken,
    Hello,
    HostStatus,
    Ids,
    Leave,
    Leaving,
    Loading,
    Tokens,
    Welcome,
    WireError,
    encode,
    read_message,
)

log = logging.getLogger(__name__)

MOST_REQUESTS = 256
"""Of one client at a time; a session has one or two."""

MOST_ASKED = 1 << 16
"""Ids whose pieces are told at once."""

_LONG_TEXT = 1 << 15  # characters, about 5 ms of encoding: longer ones must not keep other clients' events waiting


class Host(Protocol):
    """What a connection needs of the host that it belongs to."""

    @property
    def engine(self) -> InProcessEngine:
        """What serves requests."""
        ...

    async def ready(self) -> Facts:
        """Wait until the model is loaded; raises what loading it raised."""
        ...

    def welcome(self) -> Welcome:
        """Who the host is."""
        ...

    def status(self) -> HostStatus:
        """How it is."""
        ...

    def leave(self, when: str) -> bool:
        """Ask it to go; whether it does."""
        ...

    def attached(self) -> None:
        """The connection has become a client."""
        ...

    def request_ended(self) -> None:
        """Count it."""
        ...


class Connection:
    """See the module. ``name`` is the client's in the scheduler; ``is_client``: it has asked to be one."""

    def __init__(self, host: Host, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._name = name
        self._reader = reader
        self._writer = writer
        self._requests: dict[int, asyncio.Task[None]] = {}
        self._readiness: asyncio.Task[None] | None = None
        self.is_client = False

    @property
    def running(self) -> int:
        """How many requests have not ended."""
        return len(self._requests)

    async def serve(self) -> None:
        """Carry out what comes until the other side is gone, or says what nobody understands."""
        try:
            require_own(self._writer.get_extra_info("socket"))
            while (received := await read_message(self._reader)) is not None:
                await self._take(*received)
                await self._writer.drain()
        except WireError as error:
            log.warning("A client was sent away: %s.", error)
        except (OSError, HostUnreachable):
            pass
        finally:
            self.is_client = False
            tasks = [*self._requests.values(), *([self._readiness] if self._readiness else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def loading(self, fraction: float) -> None:
        """Tell the client how far the model is."""
        self._send(Loading(fraction))

    def end(self) -> None:
        """Let the client go when it has read what it was sent."""
        self._writer.close()

    async def _take(self, message: Any, stream: int) -> None:
        match message:
            case Hello():
                self._send(self._host.welcome())
            case Attach() if self._readiness is None:
                self.is_client = True
                self._host.attached()
                self._readiness = asyncio.create_task(self._tell_facts())
            case Request():
                self._begin(message, stream)
            case Cancel():
                self._host.engine.cancel(self._id(stream))
            case Leave(when=when):
                self._send(Leaving(self._host.leave(when)))
            case AskStatus():
                self._send(self._host.status())
            case Encode() | FindToken() | AskTokens():
                await self._answer(message)
            case _:
                raise WireError(f"a client does not say {type(message).__name__} here")

    def _begin(self, request: Request, stream: int) -> None:
        if stream in self._requests or len(self._requests) >= MOST_REQUESTS:
            raise WireError("a client has too many requests, or two of one number")
        engine = self._host.engine
        try:
            check_request(request, engine.info.n_vocab)
        except EngineError as error:
            self._send(_failure(error), stream)
            return
        events = engine.submit(replace(request, id=self._id(stream)), self._name)
        task = self._requests[stream] = asyncio.create_task(self._pass_on(events, stream))
        task.add_done_callback(lambda _: self._ended(stream))

    def _ended(self, stream: int) -> None:
        del self._requests[stream]
        self._host.request_ended()

    def _id(self, stream: int) -> str:
        """Requests of different clients never have one id, whatever they call them."""
        return f"{self._name}:{stream}"

    async def _pass_on(self, events: EngineStream, stream: int) -> None:
        """Send a request's events. Those that are there together go out together: a write costs more than an event."""
        frames: list[bytes] = []
        try:
            async for event in events:
                frames.append(encode(event, stream))
                if not events.waiting:
                    self._write(frames)
                    await self._writer.drain()
        except OSError:
            pass  # nobody is left to be told
        except Exception as error:
            self._write(frames)
            if not isinstance(error, EngineError):
                log.exception("A request ended with a fault of ours.")
            self._send(_failure(error), stream)
        finally:
            await events.aclose()

    async def _tell_facts(self) -> None:
        try:
            self._send(await self._host.ready())
        except Exception as error:
            if not isinstance(error, EngineError):
                log.exception("The model could not be loaded.")
            self._send(_failure(error))

    async def _answer(self, message: Encode | FindToken | AskTokens) -> None:
        """A question about the vocabulary."""
        try:
            tokenizer = self._host.engine.tokenizer
            match message:
                case Encode(text=text):
                    long = len(text) > _LONG_TEXT
                    ids = await asyncio.to_thread(tokenizer.encode, text) if long else tokenizer.encode(text)
                    self._send(Ids(tuple(ids)))
                case FindToken(written=written):
                    self._send(Ids(_found(tokenizer, written)))
                case AskTokens(start=start, stop=stop):
                    if not 0 <= start <= stop <= min(tokenizer.n_vocab, start + MOST_ASKED):
                        raise WireError("a client asks for tokens that are not there")
                    pieces = tuple(tokenizer.piece(i).decode("latin-1") for i in range(start, stop))
                    self._send(Tokens(pieces, tuple(i for i in range(start, stop) if tokenizer.is_control(i))))
        except EngineError as error:
            self._send(_failure(error))

    def _write(self, frames: list[bytes]) -> None:
        self._writer.write(b"".join(frames))
        frames.clear()

    def _send(self, message: Any, stream: int = 0) -> None:
        self._writer.write(encode(message, stream))


def _found(tokenizer: Tokenizer, written: str) -> tuple[int, ...]:
    try:
        return (tokenizer.token_id(written),)
    except KeyError:
        return ()


def _failure(error: Exception) -> Failure:
    """An error as it travels; one that is a fault of ours goes without its words, which may quote anything."""
    if isinstance(error, ContextOverflow):
        return Failure("ContextOverflow", str(error), (error.needed, error.available))
    if isinstance(error, EngineError):
        return Failure(type(error).__name__, str(error))
    return Failure("DecodeFailed", f"The engine met a fault of its own ({type(error).__name__}); ask again.")
