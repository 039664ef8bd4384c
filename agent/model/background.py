"""Reads in the background what the next request will begin with, so that nobody waits for it later.

It decides nothing about when: conversations say what they know, and the engine serves it only while nothing else is
asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import cast

from inference.engine import Engine
from inference.errors import EngineError
from inference.request import EngineEvent, Request

ANYTHING = ("", "\nx", "x", " x", "1", "\n\n")  # what may follow a text of which only the beginning is known
WORDS = ("x", "Y", "1", "`")  # and where no white space comes first


class BackgroundReader:
    """One conversation's reading ahead; the latest wish counts. It needs a running event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wish: Request | None = None
        self._reading: Request | None = None
        self._task: asyncio.Task[None] | None = None

    def want(self, request: Request) -> None:
        """Read the tokens of ``request`` next; what is being read goes on where it is a beginning of them."""
        self._wish = request
        if self._reading is not None and request.tokens[: len(self._reading.tokens)] != self._reading.tokens:
            self._engine.cancel(self._reading.id)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._read())

    def stop(self) -> None:
        """Read no further: something else is known now."""
        self._wish = None
        if self._reading is not None:
            self._engine.cancel(self._reading.id)

    async def settled(self) -> None:
        """Wait until nothing is left to read, or reading was stopped."""
        if self._task is not None:
            await self._task

    async def _read(self) -> None:
        while (request := self._wish) is not None:
            self._wish, self._reading = None, request
            try:
                async with aclosing(cast("AsyncGenerator[EngineEvent]", self._engine.submit(request))) as events:
                    async for _ in events:
                        pass
            except EngineError:
                return  # whoever asks in the foreground will be told
            finally:
                self._reading = None


def certain_ids(
    render: Callable[[str], Sequence[int]], text: str, continuations: Sequence[str] = ANYTHING
) -> list[int]:
    """The ids that ``render(text + more)`` begins with, whatever ``more`` is: what all of some continuations share."""
    return _common(render(text + more) for more in continuations)


def _common(rows: Iterable[Sequence[int]]) -> list[int]:
    first, *others = rows
    length = 0
    for column in zip(first, *others, strict=False):
        if len(set(column)) > 1:
            break
        length += 1
    return list(first[:length])
