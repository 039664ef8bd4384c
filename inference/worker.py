"""Serves requests on a backend: reuse the prefix, prefill the rest, then draft, verify, accept.

It runs in the thread that owns the backend and knows neither threads nor queues, nor whose turn it is;
``inference.in_process`` and ``inference.scheduling`` do.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from inference.backend import Backend, Batch
from inference.constraint import Constraint, GrammarVocabulary
from inference.drafters import Generation
from inference.errors import ContextOverflow, DecodeFailed, KvFull
from inference.forks import Desk, Forks
from inference.output import Output
from inference.planner import NOTHING, Outcome, Planner, Planning
from inference.prefix_cache import PrefixCache
from inference.repetition import RepetitionLimits
from inference.request import (
    DrafterStats,
    EngineEvent,
    Finished,
    FinishReason,
    Grammar,
    PrefillProgress,
    Request,
    Scored,
    Stats,
    TokensDecoded,
)
from inference.sequence import KVSequence
from inference.speculative import draft_limit, verify

GUESSED_PREFILL_TPS = 100.0
"""Prefill speed in tokens/s until one is measured: a 1.5B model on two cores."""

MEASURABLE_PREFILL = 32
"""So many tokens tell the speed of prefill; fewer are read at the speed of single ones."""

LEAST_CHUNK = 32
"""Prompt tokens read at once at the least: at 32 rows a token costs 1.15 times what it does at 512 (Qwen 0.5B and 1.5B
on two cores), at 16 rows 1.35 times."""


def unhurried() -> float:
    """The pace of an engine that nobody else waits for: seconds without a bound."""
    return math.inf


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """``clock`` gives seconds. Decodes that together take less than ``burst`` seconds are told in one event: handing
    one over to another thread costs as much as a decode of a tiny model, and nobody sees more than 250 events a second.
    """

    repetition: RepetitionLimits = field(default_factory=RepetitionLimits)
    clock: Callable[[], float] = time.perf_counter
    burst: float = 0.004


class _CancelledError(Exception):
    """The request was cancelled between two decodes."""


@dataclass(slots=True)
class _Run:
    """One request being served. ``tokens`` are the prompt and what was generated; times are seconds of the clock.

    ``reading`` is the time that this request's own prefill took, without that of requests served in between.
    """

    request: Request
    cancelled: Callable[[], bool]
    constraint: Constraint | None
    sequence: KVSequence
    tokens: list[int]
    cached: int
    replayed: int
    loaded: int
    started: float
    pace: Callable[[], float]
    planning: Planning | None = None
    last_row: int = 0
    prefilled: int = 0
    reading: float = 0.0
    prefill_ended: float | None = None
    drafted: int = 0
    accepted: int = 0
    branched: int = 0

    def stats(self, now: float, drafters: tuple[DrafterStats, ...]) -> Stats:
        prefill_ended = now if self.prefill_ended is None else self.prefill_ended
        return Stats(
            cached_tokens=self.cached,
            prefilled_tokens=self.prefilled,
            replayed_tokens=min(self.replayed, self.prefilled),
            loaded_tokens=self.loaded,
            decoded_tokens=len(self.tokens) - len(self.request.tokens) + self.branched,
            drafted_tokens=self.drafted,
            accepted_tokens=self.accepted,
            prefill_ms=1000 * (prefill_ended - self.started),
            decode_ms=1000 * (now - prefill_ended),
            drafters=drafters,
        )


class Worker:
    """Serves requests, one after the other or by turns; what was read stays in the cache between them."""

    def __init__(
        self,
        backend: Backend,
        cache: PrefixCache,
        planner: Planner | None = None,
        options: WorkerOptions | None = None,
    ) -> None:
        self._backend = backend
        self._info = backend.info
        self._cache = cache
        self._planner = planner
        self._draft_room = min(backend.info.n_batch, backend.info.n_logit_rows)
        self._options = options or WorkerOptions()
        self._vocabulary = GrammarVocabulary(backend.tokenizer)
        self._prefill_tps = GUESSED_PREFILL_TPS

    def serve(
        self, request: Request, cancelled: Callable[[], bool], pace: Callable[[], float] = unhurried
    ) -> Generator[EngineEvent]:
        """Generate; the last event is Finished. With ``max_tokens`` 0 the prompt is only read.

        Several may be under way, as many as there are sequences: after any event another one may go on.
        A ``background`` request that would push out what others may need ends as cancelled.
        ``cancelled`` is asked before every decode; ``pace`` before every chunk of the prompt, for how many seconds the
        chunk may take. Raises ValueError for an empty prompt, ContextOverflow
        or InvalidGrammar before anything is changed, and DecodeFailed after the sequence was dropped.
        """
        if not request.tokens:
            raise ValueError("a prompt needs at least one token")
        longest = max((len(each) for each in (*(b.tokens for b in request.branches), *request.score)), default=0)
        if len(request.tokens) + longest > self._info.n_ctx:
            raise ContextOverflow(len(request.tokens) + longest, self._info.n_ctx)
        if request.background and self._cache.would_lose(request.tokens, request.static):
            yield Finished(FinishReason.CANCELLED, Stats())
            return
        run = self._begin(request, cancelled, pace)
        try:
            yield from self._prefill(run)
            reason = yield from self._continue(run)
        except _CancelledError:
            reason = FinishReason.CANCELLED
        except DecodeFailed:
            if not cancelled():
                self._cache.drop(run.sequence)
                raise
            # The abort may have left rows of the decode in the memory.
            self._cache.trim(run.sequence, len(run.sequence))
            reason = FinishReason.CANCELLED
        finally:
            self._cache.settle(run.sequence, run.tokens)
            self._cache.release(run.sequence)
        drafters = run.planning.stats() if run.planning else ()
        yield Finished(reason, run.stats(self._options.clock(), drafters))

    def reset(self) -> None:
        """Forget everything that was read: after an unforeseen fault nobody knows what the memory holds."""
        self._cache.reset()

    def _begin(self, request: Request, cancelled: Callable[[], bool], pace: Callable[[], float]) -> _Run:
        started = self._options.clock()
        constraint = self._constraint(request.grammar) if request.grammar else None
        reuse = self._cache.acquire(request.tokens)
        self._cache.hold(reuse.sequence)
        return _Run(
            request=request,
            cancelled=cancelled,
            constraint=constraint,
            sequence=reuse.sequence,
            tokens=list(request.tokens),
            cached=reuse.cached,
            replayed=reuse.replayed,
            loaded=reuse.loaded,
            started=started,
            pace=pace,
        )

    def _prefill(self, run: _Run) -> Iterator[PrefillProgress]:
        total = len(run.tokens) - run.cached
        marks = self._checkpoint_marks(run.request)
        static = self._static_mark(run)
        stops = marks | {static}
        yield PrefillProgress(0, total, run.cached, total / self._prefill_tps)
        while True:
            position = len(run.sequence)
            if position in marks:
                self._cache.save_checkpoint(run.sequence, requested=position in run.request.checkpoints)
            if 0 < position == static:
                self._cache.save_static(run.sequence)
            if position == len(run.tokens):
                break
            end = min(position + self._chunk(run), *(stop for stop in stops if stop > position), len(run.tokens))
            began = self._options.clock()
            self._decode(run, run.tokens[position:end], every_row=False)
            run.reading += self._options.clock() - began
            run.prefilled += end - position
            speed = run.prefilled / max(run.reading, 1e-6)
            if run.prefilled >= MEASURABLE_PREFILL:
                self._prefill_tps = speed
            if end < len(run.tokens):  # the last is told when its logits were used: others may decode after an event
                yield PrefillProgress(run.prefilled, total, run.cached, (total - run.prefilled) / speed)
        run.prefill_ended = self._options.clock()

    def _chunk(self, run: _Run) -> int:
        """How many prompt tokens are read at once."""
        return int(min(self._info.n_batch, max(LEAST_CHUNK, run.pace() * self._prefill_tps)))

    def _static_mark(self, run: _Run) -> int:
        """Where prefill stops to keep a static prefix on disk; 0 where it does not."""
        static = run.request.static
        unread = len(run.sequence) <= static <= len(run.tokens)
        return static if unread and not self._cache.knows_static(run.tokens[:static]) else 0

    def _checkpoint_marks(self, request: Request) -> frozenset[int]:
        """Where prefill stops to save the window: where the request says, and before the prompt's last token.

        The latter lets the same prompt be answered once more for one token: behind the last token there would be no
        logits to draw from, and the saved window reaches not one position further back than its own needs.
        """
        if self._info.n_swa == 0:
            return frozenset()
        length = len(request.tokens)
        own = (length - 1,) if request.max_tokens or request.branches or request.score else ()
        return frozenset(mark for mark in (*request.checkpoints, *own) if 0 < mark <= length)

    def _continue(self, run: _Run) -> Generator[EngineEvent, None, FinishReason]:
        """What is wanted behind the prompt: an answer, several, or the likelihood of given ones."""
        request = run.request
        if not request.branches and not request.score:
            return (yield from self._generate(run))
        compute = functools.partial(self._compute, run)
        desk = Desk(self._backend, self._cache, compute, self._constraint, self._options.repetition)
        forks = Forks(desk, run.sequence, request)
        if request.score:
            yield Scored(forks.score(run.last_row))
        else:
            try:
                yield from forks.grow(run.last_row)
            finally:
                run.branched = forks.decoded
        return FinishReason.STOP

    def _generate(self, run: _Run) -> Generator[EngineEvent, None, FinishReason]:
        """Draw tokens until one ends the output, and return why it ended."""
        with ExitStack() as freed:
            sampler = freed.enter_context(closing(self._backend.sampler(run.request.sampling)))
            output = Output(run.request, sampler, run.constraint, self._options.repetition)
            if self._planner:
                forced = run.constraint.forced if run.constraint else tuple
                generation = Generation(run.request, run.sequence.id, forced)
                run.planning = freed.enter_context(closing(self._planner.begin(generation)))
            ids: tuple[int, ...] = ()
            if output.reason is None:
                ids = (output.draw(run.last_row),)
                self._follow(run, ids, run.last_row)
            yield PrefillProgress(run.prefilled, run.prefilled, run.cached, 0.0)
            while ids:
                yield TokensDecoded(ids)
                ids = self._burst(run, output)
        return output.reason or FinishReason.LENGTH

    def _burst(self, run: _Run, output: Output) -> tuple[int, ...]:
        """The tokens of one decode, or of as many quick ones as fit into a burst; none when the output has ended."""
        clock = self._options.clock
        until = clock() + self._options.burst
        ids = self._next(run, output)
        while ids and output.reason is None and clock() < until:
            try:
                more = self._next(run, output)
            except (_CancelledError, DecodeFailed):
                return ids  # told first; the next decode meets the same again
            if not more:
                return ids
            ids += more
        return ids

    def _follow(self, run: _Run, ids: tuple[int, ...], row: int) -> None:
        """Record ``ids``, the last of which was drawn from ``row``, while that row can still be read."""
        run.tokens.extend(ids)
        if run.planning:
            run.planning.follow(run.tokens, row)

    def _next(self, run: _Run, output: Output) -> tuple[int, ...]:
        """The tokens that one decode gives; none when the output has ended or the context is full."""
        if output.reason:
            return ()
        self._take_back(run)
        resident = len(run.sequence)
        if resident >= self._info.n_ctx:
            return ()
        room = draft_limit(self._draft_room, self._info.n_ctx - resident, output.room)
        draft = run.planning.plan(run.tokens, room) if run.planning else NOTHING
        began = self._options.clock()
        self._decode(run, (run.tokens[-1], *draft), every_row=True)
        verdict = verify(draft, output.draw, output.ended)
        if run.planning:
            ms = 1000 * (self._options.clock() - began)
            run.planning.settle(Outcome(1 + len(draft), verdict.accepted, ms))
        self._follow(run, verdict.ids, len(verdict.ids) - 1)
        run.drafted += len(draft)
        run.accepted += verdict.accepted
        return verdict.ids

    def _take_back(self, run: _Run) -> None:
        """Take the rejected tokens of the last draft out of the memory: all behind the last token but one."""
        length = len(run.tokens) - 1
        if len(run.sequence) == length:
            return
        self._cache.trim(run.sequence, length)
        # A draft as long as the window's slack can push out what is needed again: then the cut fell back further.
        while (position := len(run.sequence)) < length:
            self._decode(run, run.tokens[position : min(position + self._info.n_batch, length)], every_row=False)

    def _decode(self, run: _Run, tokens: Sequence[int], *, every_row: bool) -> None:
        """Append ``tokens`` to the sequence; the logits of each row, or of the last one only."""
        start, rows = len(run.sequence), len(tokens)
        logits = [True] * rows if every_row else [False] * (rows - 1) + [True]
        self._compute(run, Batch(tokens, range(start, start + rows), [run.sequence.id] * rows, logits))
        run.sequence.append(tokens)
        run.last_row = rows - 1

    def _compute(self, run: _Run, batch: Batch) -> None:
        """Decode, at the expense of conversations that nobody works in where the memory is full."""
        if run.cancelled():
            raise _CancelledError
        while True:
            try:
                return self._backend.decode(batch)
            except KvFull:
                if not self._cache.make_room():
                    raise

    def _constraint(self, grammar: Grammar) -> Constraint:
        return Constraint(grammar, self._vocabulary)
