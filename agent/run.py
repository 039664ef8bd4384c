"""One run in progress: the steps of a turn, what they spend, and how they are stopped or steered from outside.

The order of the steps is ``agent.loop``'s; what stays after the run belongs to the transcript.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from agent.compaction import Compactor
from agent.events import AgentEvent, Notice, RepetitionNoticed, RunEnd, Steered, TurnFinished, TurnStarted
from agent.guard import STOP_AT, WARN_AT, RepetitionGuard
from agent.messages import AssistantMessage, StopReason, ToolCall, ToolResultMessage, Usage, UserMessage
from agent.model import ResponseOptions
from agent.response import ResponseInProgress
from agent.toolset import Toolset
from agent.transcript import Transcript
from inference.errors import ContextOverflow
from prompts import load

T = TypeVar("T")

# A tool that was told to stop gets this long to end by itself and hand over what it has.
_GRACE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of one run; None is unlimited. ``tokens`` counts generated ones, ``failures`` turns in a row whose calls
    all failed."""

    turns: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    failures: int | None = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How one run goes; ``first_response`` replaces ``response`` in its first turn, and as long as nothing came of it:
    while all calls were refused ones of the tool that it can quote for, nothing else was read, and nothing changed."""

    limits: Limits = field(default_factory=Limits)
    response: ResponseOptions = field(default_factory=ResponseOptions)
    first_response: ResponseOptions | None = None


@dataclass(frozen=True, slots=True)
class RunParts:
    """What a run works with, all of it the session's; ``ready`` sees that the model is there, still or again."""

    transcript: Transcript
    toolset: Toolset
    compactor: Compactor
    emit: Callable[[AgentEvent], None]
    ready: Callable[[], Awaitable[None]]


class Run:
    """The state of one run."""

    def __init__(self, parts: RunParts, options: RunOptions) -> None:
        self._parts = parts
        self._options = options
        self._guard = RepetitionGuard()
        self._started = time.monotonic()
        self._steers: list[UserMessage] = []
        self._activity: asyncio.Task[Any] | None = None
        self._grace = 0.0
        self._end: RunEnd | None = None
        self._at_start = True  # nothing came of any call
        self._failures = 0  # turns in a row
        self.turns = 0
        self.usage = Usage()
        self.answer = ""

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._started

    def stop(self, end: RunEnd) -> None:
        """End the run soon: the model within one decode, a tool when it next looks; what was done is kept."""
        self._end = self._end or end
        if self._activity is not None:
            asyncio.get_running_loop().call_later(self._grace, self._activity.cancel)

    def steer(self, message: UserMessage) -> None:
        """Give the model a message with the next turn."""
        self._steers.append(message)

    def spent(self) -> RunEnd | None:
        """Why no further turn may begin, if so."""
        limits = self._options.limits
        budgets = (
            (limits.turns, self.turns),
            (limits.tokens, self.usage.decoded_tokens),
            (limits.seconds, self.seconds),
            (limits.failures, self._failures),
        )
        over = any(limit is not None and used >= limit for limit, used in budgets)
        return self._end or (RunEnd.LIMIT if over else None)

    def begin_turn(self) -> None:
        """Count the turn."""
        self.turns += 1
        self._parts.emit(TurnStarted(self.turns))

    async def make_room(self) -> None:
        """Compact when the next response would not fit."""
        await self._interruptible(
            self._parts.compactor.make_room(self._response_options().max_tokens, self._parts.emit)
        )

    async def ask_model(self) -> AssistantMessage:
        """One response, streamed; of a stopped one, what was written."""
        response = self._new_response()
        try:
            await self._interruptible(self._stream(response))
        except ContextOverflow:
            # Counted too low (a model may need more than its transcript): once, then it is an error.
            await self._interruptible(self._parts.compactor.compact(self._parts.emit))
            response = self._new_response()
            await self._interruptible(self._stream(response))
        message = response.message
        self.usage += message.usage
        self.answer = message.text
        self._parts.transcript.add_response(message)
        self._parts.emit(TurnFinished(message, self._parts.transcript.token_count))
        return message

    async def use_tools(self, message: AssistantMessage) -> None:
        """Carry out the calls in order; every call gets a result, also those that a stopped run leaves out."""
        results: list[ToolResultMessage] = []
        for call in message.tool_calls:
            if results:
                self._parts.transcript.expect_results(results)
            results.append(await self._use_tool(call, results))
        self._failures = self._failures + 1 if all(result.is_error for result in results) else 0
        self._at_start = self._at_start and all(map(self._came_to_nothing, results))
        await self._parts.ready()  # while tools worked its process may have ended
        self._parts.transcript.add_results(results)

    def ended_after(self, message: AssistantMessage) -> RunEnd | None:
        """Whether, and how, the run is over after this turn."""
        if self._end is not None:
            return self._end
        if message.stop_reason is StopReason.REPETITION:
            return RunEnd.REPETITION
        if message.tool_calls or self._steers:
            return None
        if message.stop_reason is StopReason.LENGTH:
            self._parts.emit(Notice("The answer was cut off: it reached the limit of tokens for one response."))
            return RunEnd.LIMIT
        return RunEnd.DONE

    def deliver_steers(self) -> None:
        """Put the messages that came meanwhile into the transcript."""
        for message in self._steers:
            self._parts.transcript.add_user(message)
            self._parts.emit(Steered(message.id, message.text))
        self._steers.clear()

    def _response_options(self) -> ResponseOptions:
        options = self._options.response
        if self._at_start and self._options.first_response is not None:
            options = self._options.first_response
        # Turns with one seed and nothing new in between would repeat each other word for word.
        options = replace(options, seed=options.seed + self.turns - 1)
        limit = self._options.limits.tokens
        left = options.max_tokens if limit is None else max(1, limit - self.usage.decoded_tokens)
        return replace(options, max_tokens=min(options.max_tokens, left))

    def _came_to_nothing(self, result: ToolResultMessage) -> bool:
        first = self._options.first_response
        held = first.quotable if first else None
        return result.is_error and held is not None and result.name == held.tool

    def _new_response(self) -> ResponseInProgress:
        return ResponseInProgress(f"turn-{self.turns}", self._parts.emit)

    async def _stream(self, response: ResponseInProgress) -> None:
        async for event in self._parts.transcript.respond(self._response_options()):
            response.take(event)

    async def _use_tool(self, call: ToolCall, before: Sequence[ToolResultMessage]) -> ToolResultMessage:
        def settled(text: str) -> None:
            self._parts.transcript.expect_results(before, ToolResultMessage(call.id, call.name, text))

        work = self._parts.toolset.run(call, self._parts.emit, lambda: self._end is not None, settled)
        result = await self._interruptible(work, grace=_GRACE_SECONDS)
        if result is None:
            return ToolResultMessage(call.id, call.name, load("result_interrupted"), is_error=True)
        return self._noting_repetition(call, result)

    def _noting_repetition(self, call: ToolCall, result: ToolResultMessage) -> ToolResultMessage:
        count = self._guard.count(call, result.text)
        if count < WARN_AT:
            return result
        stopped = count >= STOP_AT
        self._parts.emit(RepetitionNoticed(call.name, count, stopped))
        if stopped:
            self._end = self._end or RunEnd.REPETITION
        return replace(result, text=f"{result.text}\n\n{load('result_repeated', count=str(count))}")

    async def _interruptible(self, work: Coroutine[Any, Any, T], grace: float = 0.0) -> T | None:
        """The work's result; None when the run is, or was meanwhile, stopped."""
        if self._end is not None:
            work.close()
            return None
        self._grace = grace
        self._activity = asyncio.create_task(work)
        try:
            return await self._activity
        except asyncio.CancelledError:
            if self._end is None:  # the program itself is going down
                raise
            return None
        finally:
            self._activity = None
