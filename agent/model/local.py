"""A Model on the engine: messages in, token ids to the engine, events out.

It runs no tool and compacts nothing. Which words and markers a model is given is decided in ``formats``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import cast

from agent.errors import ModelError, TooBigForMemory
from agent.messages import Message, ToolResultMessage, ToolSpec
from agent.model import Dump, ModelEvent, ModelInfo, PromptRead, ResponseOptions, TokenScore
from agent.model.background import WORDS, BackgroundReader, certain_ids
from agent.model.formats.base import ChatFormat, Cue, Tail
from agent.model.formats.choice import choose_format, guess_small
from agent.model.formats.literal import LiteralEncoder
from agent.model.formats.schema import simplify
from agent.model.response import Response
from agent.model.scoring import preferences, score_texts, shares
from agent.model.transcript import Kind, Segment, Transcript
from inference.engine import Engine
from inference.errors import DecodeFailed, EngineClosed, HostUnreachable, ModelLoadError, NotEnoughMemory
from inference.regions import Regions
from inference.request import (
    EngineEvent,
    Finished,
    PrefillProgress,
    Region,
    Request,
    SamplingParams,
    TokensDecoded,
)


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """How a model is run; None means: by its name.

    ``temperature``, ``top_k`` and ``top_p`` hold where a response's options do not say otherwise. ``small`` is as in
    ModelInfo. ``keep_thoughts`` never drops thoughts: nothing is read twice, at the price of a longer context.
    """

    name: str | None = None
    temperature: float = 1.0
    top_k: int = 64
    top_p: float = 0.95
    min_p: float = 0.0
    thinking: bool | None = None
    small: bool | None = None
    keep_thoughts: bool = False


class LocalModel:
    """``agent.model.Model`` on an Engine, which it starts and closes."""

    def __init__(self, engine: Engine, settings: LocalSettings | None = None) -> None:
        self._engine = engine
        self._settings = settings or LocalSettings()
        self._format: ChatFormat | None = None

    @property
    def info(self) -> ModelInfo:
        """Facts; available after ``start``."""
        small = self._settings.small
        return ModelInfo(
            name=self._name,
            context_tokens=self._engine.context_tokens,
            thinks=self._chat_format.thinks,
            small=guess_small(self._name) if small is None else small,
        )

    async def start(self) -> None:
        """Load the model and choose its chat format; raises ModelError. Again: see that the engine is still there."""
        try:
            await self._engine.start()
        except NotEnoughMemory as error:
            raise TooBigForMemory(str(error)) from error
        except ModelLoadError as error:
            raise ModelError(str(error)) from error
        if self._format is None:
            self._format = choose_format(
                self._engine,
                self._name,
                thinking=self._settings.thinking,
                keep_thoughts=self._settings.keep_thoughts,
            )

    def open(self, system: str, tools: Sequence[ToolSpec], history: Sequence[Message] = ()) -> LocalConversation:
        """A new conversation. ``history`` are earlier messages of which this model has no token ids."""
        transcript = Transcript(keep_thoughts=self._chat_format.keeps_thoughts)
        transcript.add(Kind.SYSTEM, self._chat_format.begin(system, tools), Tail.SYSTEM)
        if history:
            transcript.add(Kind.HISTORY, *self._chat_format.history(history))
        return self._conversation(transcript, tools)

    def restore(self, dumped: Dump) -> LocalConversation:
        """A conversation from ``dump``; raises ValueError when it was made by another model or is damaged."""
        try:
            data = json.loads(dumped.header)
            made_by = (data["model"], data["format"])
            tools = [ToolSpec(name, description, schema) for name, description, schema in data["tools"]]
            parts = map(json.loads, dumped.parts)
            segments = [Segment(Kind(kind), tuple(ids), Tail(tail)) for kind, tail, ids in parts]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("The stored conversation is damaged; start a new session.") from error
        if made_by != (self._name, self._chat_format.name):
            raise ValueError(f"The stored conversation was made by {made_by[0]}, not by {self._name}.")
        return self._conversation(Transcript(segments, keep_thoughts=self._chat_format.keeps_thoughts), tools)

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
        """How likely each text is behind ``prefix``, token by token; raises ModelError or EngineError."""
        await self.start()
        return await score_texts(self._engine, prefix, texts)

    async def shares(self, questions: Sequence[str], answers: Sequence[str]) -> list[list[float]]:
        """How the model divides its belief among the answers, by question; raises ModelError or EngineError."""
        await self.start()
        plain = choose_format(self._engine, self._name, thinking=False)
        return await shares(self._engine, plain, questions, answers)

    async def preferences(self, prefix: str, base: str, variants: Sequence[str]) -> list[float]:
        """How much likelier each variant is than ``base`` where it leaves it; raises ModelError or EngineError."""
        await self.start()
        return await preferences(self._engine, prefix, base, variants)

    async def close(self) -> None:
        """Free everything."""
        await self._engine.close()

    @property
    def _name(self) -> str:
        return self._settings.name or self._engine.model_name

    @property
    def _chat_format(self) -> ChatFormat:
        if self._format is None:
            raise RuntimeError("the model is used before start()")
        return self._format

    def _conversation(self, transcript: Transcript, tools: Sequence[ToolSpec]) -> LocalConversation:
        return LocalConversation(self._engine, self._chat_format, self._settings, transcript, tools, self._name)


class LocalConversation:
    """``agent.model.Conversation``: owns the transcript; made by ``LocalModel.open`` and ``restore``."""

    def __init__(
        self,
        engine: Engine,
        chat_format: ChatFormat,
        settings: LocalSettings,
        transcript: Transcript,
        tools: Sequence[ToolSpec],
        model_name: str,
    ) -> None:
        self._engine = engine
        self._format = chat_format
        self._settings = settings
        self._transcript = transcript
        self._tools = tuple(tools)
        self._schemas = {tool.name: simplify(tool.parameters) for tool in tools}
        self._model_name = model_name
        self._encoder = LiteralEncoder(engine.tokenizer)
        self._ahead = BackgroundReader(engine)

    @property
    def token_count(self) -> int:
        """Tokens in the transcript now."""
        return self._transcript.token_count

    def add_user(self, text: str) -> None:
        """Append a user message."""
        self._link(Tail.USER)
        self._transcript.add(Kind.USER, self._format.user(text), Tail.USER)

    def add_tool_results(self, results: Sequence[ToolResultMessage]) -> None:
        """Append the results of the calls of the last response, in their order."""
        if results:
            self._link(Tail.RESULTS)
            self._transcript.add(Kind.RESULTS, self._format.results(results), Tail.RESULTS)

    def prepare(self, beginning: str = "") -> None:
        """Read in the background what a user message will follow: the history as it will be then, without thoughts."""
        if self._transcript.tail in (Tail.SYSTEM, Tail.ANSWER):
            with suppress(EngineClosed):  # its process has ended: whoever asks next is told, or it is there again
                self._read_ahead(Tail.USER, Kind.USER, certain_ids(self._format.user, beginning, WORDS))

    def expect_results(self, results: Sequence[ToolResultMessage], partial: ToolResultMessage | None = None) -> None:
        """Read in the background what is certain of the results of the last response's calls."""
        if self._transcript.tail is not Tail.CALLS:
            return

        def render(text: str) -> list[int]:
            following = ToolResultMessage("", text, text) if partial is None else replace(partial, text=text)
            return self._format.results([*results, following])

        with suppress(EngineClosed):
            self._read_ahead(Tail.RESULTS, Kind.RESULTS, certain_ids(render, partial.text if partial else ""))

    async def read_ahead(self) -> None:
        """Wait until what was to be read in the background is read, or was dropped."""
        await self._ahead.settled()

    async def respond(self, options: ResponseOptions) -> AsyncIterator[ModelEvent]:
        """Stream one response and append its ids; closing it early keeps the ids so far.

        Raises ContextOverflow, the transcript unchanged; ModelError when the engine failed.
        """
        self._ahead.stop()
        start = self._transcript.mark()
        cue = self._cue(options)
        schemas = {} if options.tool_choice == "none" else self._schemas  # then a call in the text is text
        response = Response(self._format, schemas, in_thought=cue.in_thought, stop=options.stop)
        prefix = self._encoder.encode(options.prefix)
        try:
            request = self._request(options, cue, prefix)
            for model_event in response.begin(prefix):
                yield model_event
            stream = cast("AsyncGenerator[EngineEvent]", self._engine.submit(request))
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, PrefillProgress):
                        yield PromptRead(event.done, event.total, event.cached, event.seconds_left)
                    elif isinstance(event, TokensDecoded):
                        for model_event in response.feed(event.ids):
                            yield model_event
                        if response.repeats or response.stop_found:
                            self._engine.cancel(request.id)
                    elif isinstance(event, Finished):
                        response.stopped(event)
            for model_event in response.finish():
                yield model_event
        except (EngineClosed, HostUnreachable, DecodeFailed) as error:
            raise ModelError(str(error)) from error
        finally:
            self._keep(response, start, len(prefix))
        yield response.finished()

    def mark(self) -> int:
        """A point to come back to."""
        return self._transcript.mark()

    def rewind(self, mark: int) -> None:
        """Forget everything after ``mark``."""
        self._ahead.stop()
        self._transcript.rewind(mark)

    def count(self, text: str) -> int:
        """Exact number of tokens of plain text."""
        return len(self._encoder.encode(text))

    def dump(self, since: int = 0) -> Dump:
        """The transcript for the store; only the parts after the mark ``since``."""
        segments = self._transcript.segments[since:]
        parts = [json.dumps([each.kind, each.tail, each.ids], separators=(",", ":")) for each in segments]
        tools = [[tool.name, tool.description, tool.parameters] for tool in self._tools]
        made_by = {"model": self._model_name, "format": self._format.name}
        return Dump(json.dumps({**made_by, "tools": tools}, separators=(",", ":")), tuple(parts))

    def _read_ahead(self, tail: Tail, kind: Kind, ids: Sequence[int]) -> None:
        """Let the engine read the transcript as it would be with a part that begins with ``ids``."""
        mark = self._transcript.mark()
        try:
            self._link(tail)
            self._transcript.add(kind, ids, tail)
            request = Request(
                id=uuid.uuid4().hex,
                tokens=self._transcript.tokens(),
                max_tokens=0,
                checkpoints=self._transcript.checkpoints(),
                static=self._transcript.static_count,
                background=True,
            )
        finally:
            self._transcript.rewind(mark)
        if 0 < len(request.tokens) < self._engine.context_tokens:
            self._ahead.want(request)

    def _link(self, following: Tail) -> None:
        """End what came last in the way that what follows needs."""
        tail = self._transcript.tail
        ending = self._format.ending(tail, self._transcript.stop_id, following)
        self._transcript.add(Kind.LINK if ending.keep_stop else Kind.ENDING, ending.ids, tail)

    def _cue(self, options: ResponseOptions) -> Cue:
        tail = self._transcript.tail
        self._link(Tail.ANSWER)
        cue = self._format.cue(tail, options.tool_choice)
        self._transcript.add(Kind.THOUGHT if cue.in_thought else Kind.CUE, cue.ids, tail)
        return cue

    def _request(self, options: ResponseOptions, cue: Cue, prefix: Sequence[int]) -> Request:
        settings = self._settings
        base = settings.temperature if options.temperature is None else options.temperature
        temperature = base + options.warmer
        grammar = self._format.grammar(self._tools, options, in_thought=cue.in_thought)
        return Request(
            id=uuid.uuid4().hex,
            tokens=(*self._transcript.tokens(), *prefix),
            max_tokens=options.max_tokens,
            sampling=SamplingParams(temperature, settings.top_k, settings.top_p, settings.min_p, options.seed),
            stop_ids=self._format.stop_ids,
            grammar=grammar,
            checkpoints=self._transcript.checkpoints(),
            references=tuple(tuple(self._encoder.encode(text)) for text in options.references),
            regions=self._regions(cue, prefix),
            static=self._transcript.static_count,
        )

    def _regions(self, cue: Cue, prefix: Sequence[int]) -> tuple[Region, ...]:
        """The kinds of text of the response, and the one that it begins in behind the prefix."""
        regions = self._format.regions(in_thought=cue.in_thought)
        begun = Regions(regions)
        begun.feed(prefix)
        return (*(region for region in regions if region.opening), Region((), begun.kind))

    def _keep(self, response: Response, start: int, given: int) -> None:
        """Append what was sampled; without a sampled id (the first ``given`` are a prefix) nothing happened."""
        if len(response.ids) <= given:
            self._transcript.rewind(start)
            return
        for kind, ids in response.segments():
            self._transcript.add(kind, ids, response.tail)
