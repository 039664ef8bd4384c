"""One response in the making: sampled ids and the events and the message that they come to.

It talks to no engine.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from agent.messages import AssistantMessage, Drafted, StopReason, ToolCall, Usage
from agent.model import ModelEvent, ResponseFinished, TextAdded, ThoughtAdded, ToolCallParsed
from agent.model.formats.base import ChatFormat, Tail, ToolSchemas
from agent.model.transcript import Kind
from inference.request import Finished, FinishReason, Stats

_REPEATED = "the same call came twice in one response; it is run once"
_REASONS = {
    FinishReason.STOP: StopReason.END,
    FinishReason.LENGTH: StopReason.LENGTH,
    FinishReason.CANCELLED: StopReason.CANCELLED,
    FinishReason.REPETITION: StopReason.REPETITION,
}


class Response:
    """Collects one response.

    A call that repeats an earlier one of the same response ends it: ``repeats`` becomes true, and its ids are left out.
    So does one of the texts ``stop``: ``stop_found`` becomes true, and the message ends before it (the ids stay).
    """

    def __init__(
        self, chat_format: ChatFormat, schemas: ToolSchemas, *, in_thought: bool, stop: Sequence[str] = ()
    ) -> None:
        self._format = chat_format
        self._parser = chat_format.parser(schemas, in_thought=in_thought)
        self._ids: list[int] = []
        self._closers: tuple[int, ...] | None = None
        self._text: list[str] = []
        self._thought: list[str] = []
        self._calls: list[ToolCall] = []
        self._reason = FinishReason.CANCELLED  # until the engine says otherwise
        self._stats = Stats()
        self._stop = tuple(stop)
        self._recent = ""  # the end of the text, in which a stop text may have begun
        self.repeats = False
        self.stop_found = False

    @property
    def ids(self) -> Sequence[int]:
        """The sampled ids that are kept."""
        return self._ids

    @property
    def tail(self) -> Tail:
        """What the transcript ends with after this response."""
        return Tail.CALLS if self._calls else Tail.ANSWER

    def feed(self, ids: Sequence[int]) -> Iterator[ModelEvent]:
        """Take sampled ids; gives the events that they complete. Ids behind a repeated call are ignored."""
        for token_id in ids:
            if self.repeats or self.stop_found:
                return
            self._ids.append(token_id)
            for event in self._parser.feed(token_id):
                yield self._noted(event)

    def begin(self, ids: Sequence[int]) -> Iterator[ModelEvent]:
        """Take the ids of a prefix, in which no stop text is looked for."""
        stop, self._stop = self._stop, ()
        yield from self.feed(ids)
        self._stop = stop

    def stopped(self, finished: Finished) -> None:
        """The engine ended the request."""
        self._reason = finished.reason
        self._stats = finished.stats

    def finish(self) -> list[ModelEvent]:
        """The remaining events."""
        if self.repeats:
            return []
        self._closers = self._parser.closers
        return [self._noted(event) for event in self._parser.finish(truncated=self._reason is not FinishReason.STOP)]

    def finished(self) -> ResponseFinished:
        """The last event."""
        reason = StopReason.END if self.stop_found else _REASONS[self._reason]
        if self.repeats or (self._calls and reason in (StopReason.END, StopReason.LENGTH)):
            reason = StopReason.TOOL_CALLS
        text, thought = "".join(self._text).strip(), "".join(self._thought).strip()
        message_id = f"message-{uuid.uuid4().hex[:16]}"
        calls = tuple(self._calls)
        return ResponseFinished(AssistantMessage(message_id, text, thought, calls, reason, _usage(self._stats)))

    def segments(self) -> list[tuple[Kind, Sequence[int]]]:
        """The sampled ids by kind, with the ids that close what was left open."""
        ids = list(self._ids)
        stop = [ids.pop()] if ids and ids[-1] in self._format.stop_ids else []
        result: list[tuple[Kind, Sequence[int]]] = []
        at = 0
        for start, end in self._parser.thought_spans:
            result += [(Kind.ANSWER, ids[at:start]), (Kind.THOUGHT, ids[start:end])]
            at = max(at, min(end, len(ids)))
        result.append((Kind.ANSWER, ids[at:]))
        result = [(kind, part) for kind, part in result if part]
        closers = self._parser.closers if self._closers is None else self._closers
        if closers and not self.repeats:
            in_thought = bool(result) and result[-1][0] is Kind.THOUGHT
            result.append((Kind.THOUGHT if in_thought else Kind.REPAIR, closers))
        return [*result, (Kind.STOP, stop)] if stop else result

    def _noted(self, event: ModelEvent) -> ModelEvent:
        if isinstance(event, TextAdded):
            if not self.stop_found:
                self._text.append(event.text)
                self._look_for_stop(event.text)
        elif isinstance(event, ThoughtAdded):
            self._thought.append(event.text)
        elif isinstance(event, ToolCallParsed):
            return self._noted_call(event)
        return event

    def _look_for_stop(self, added: str) -> None:
        """Cut the text at the first stop text that begins behind the prefix."""
        if not self._stop:
            return
        recent = self._recent + added
        found = [at for stop in self._stop if (at := recent.find(stop)) >= 0]
        if found:
            self.stop_found = True
            text = "".join(self._text)
            self._text = [text[: len(text) - len(recent) + min(found)]]
        keep = max(map(len, self._stop)) - 1
        self._recent = recent[-keep:] if keep else ""

    def _noted_call(self, event: ToolCallParsed) -> ToolCallParsed:
        call = event.call
        if call.error is None and any((c.name, c.arguments) == (call.name, call.arguments) for c in self._calls):
            self.repeats = True
            del self._ids[self._parser.call_start :]
            return ToolCallParsed(ToolCall(call.id, call.name, call.arguments, _REPEATED))
        self._calls.append(call)
        return event


def _usage(stats: Stats) -> Usage:
    return Usage(
        cached_tokens=stats.cached_tokens,
        prefilled_tokens=stats.prefilled_tokens,
        decoded_tokens=stats.decoded_tokens,
        drafted_tokens=stats.drafted_tokens,
        accepted_tokens=stats.accepted_tokens,
        prefill_ms=stats.prefill_ms,
        decode_ms=stats.decode_ms,
        loaded_tokens=stats.loaded_tokens,
        drafters=tuple(Drafted(each.name, each.drafted, each.accepted) for each in stats.drafters),
    )
