"""Several continuations of one prompt at once: branches that share its KV, in one batch; and scores of given ones.

Drafting is not done here: a batch of branches is wide already. The prompt has been read before (``inference.worker``).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace

import numpy as np

from inference.backend import Backend, Batch
from inference.constraint import Constraint
from inference.errors import KvFull
from inference.output import Output
from inference.prefix_cache import PrefixCache
from inference.repetition import RepetitionLimits
from inference.request import Branch, BranchDecoded, BranchFinished, EngineEvent, FinishReason, Grammar, Request
from inference.score_tree import ScoreTree
from inference.sequence import KVSequence


@dataclass(frozen=True, slots=True)
class Desk:
    """What growing branches needs of the worker. ``compute`` decodes, unless the request was cancelled."""

    backend: Backend
    cache: PrefixCache
    compute: Callable[[Batch], None]
    constrain: Callable[[Grammar], Constraint]
    limits: RepetitionLimits


@dataclass(eq=False, slots=True)
class _Growing:
    """A branch on its way. ``todo`` are ids to be decoded next; ``ids`` all behind the prompt."""

    number: int
    output: Output
    todo: list[int]
    ids: list[int] = field(default_factory=list[int])
    reason: FinishReason | None = None

    def draw(self, row: int) -> int:
        token = self.output.draw(row)
        self.ids.append(token)
        self.todo = [token]
        self.reason = self.output.reason
        return token


class Forks:
    """The branches of one request behind the prompt that ``source`` holds; ``row`` of the last decode ends it.

    Where no sequence is free the branches grow one after the other in ``source``.
    """

    def __init__(self, desk: Desk, source: KVSequence, request: Request) -> None:
        self._desk = desk
        self._info = desk.backend.info
        self._source = source
        self._request = request
        self._prompt = list(request.tokens)
        self._waiting: deque[_Growing] = deque()
        self._live: deque[tuple[_Growing, KVSequence]] = deque()
        self._most_live = self._info.n_logit_rows
        self.decoded = 0

    def grow(self, row: int) -> Generator[EngineEvent]:
        """Decode all branches to their ends; BranchDecoded and BranchFinished events."""
        with ExitStack() as freed:
            self._waiting.extend(
                self._open(number, branch, freed) for number, branch in enumerate(self._request.branches)
            )
            # Before anything else is decoded: the row is gone then.
            first = [(each, each.draw(row)) for each in self._waiting if not each.todo and each.reason is None]
            if len(self._prompt) >= self._info.n_ctx:
                for each, _ in first:
                    each.reason = each.reason or FinishReason.LENGTH
            self._desk.cache.save_checkpoint(self._source, requested=False)
            yield from self._tell(first, list(self._waiting))
            self._waiting = deque(each for each in self._waiting if each.reason is None)
            freed.callback(self._leave)
            while self._waiting or self._live:
                self._seat()
                drawn = self._step()
                ended = [each for each, _ in self._live if each.reason is not None]
                self._clear(ended)
                yield from self._tell(drawn, ended)

    def score(self, row: int) -> tuple[tuple[float, ...], ...]:
        """The log-probability of each id of each continuation, given the prompt and the ids before it.

        What several continuations begin with is decoded once.
        """
        tree = ScoreTree(self._request.score)
        # Before anything else is decoded: the row is gone then.
        tree.note((), self._scorer(row))
        self._desk.cache.save_checkpoint(self._source, requested=False)
        for stretch in tree.stretches():
            self._back_to_prompt(self._source, stretch.path[: stretch.shared])
            for start in range(stretch.shared, len(stretch.path), self._info.n_logit_rows):
                piece = stretch.path[start : start + self._info.n_logit_rows]
                self._append(self._source, piece, every_row=True)
                for at in range(len(piece)):
                    tree.note(stretch.path[: start + at + 1], self._scorer(at))
        self._back_to_prompt(self._source)
        return tree.scores()

    def _scorer(self, row: int) -> Callable[[int], float]:
        """Gives the natural logarithm of the probability of a token behind row ``row`` of the last decode."""
        logits = self._desk.backend.logits(row)
        highest = logits.max()
        total = math.log(np.exp(logits - highest).sum(dtype=np.float64))
        return lambda token: float(logits[token] - highest) - total

    def _open(self, number: int, branch: Branch, freed: ExitStack) -> _Growing:
        request = replace(
            self._request,
            max_tokens=branch.max_tokens,
            sampling=branch.sampling,
            stop_ids=branch.stop_ids,
            grammar=branch.grammar,
        )
        sampler = freed.enter_context(closing(self._desk.backend.sampler(branch.sampling)))
        constraint = self._desk.constrain(branch.grammar) if branch.grammar else None
        output = Output(request, sampler, constraint, self._desk.limits)
        return _Growing(number, output, list(branch.tokens), list(branch.tokens), output.reason)

    def _seat(self) -> None:
        """Give waiting branches a sequence, as long as there is one."""
        in_source = any(sequence is self._source for _, sequence in self._live)
        while self._waiting and not in_source and len(self._live) < self._most_live:
            sequence = self._desk.cache.fork(self._source, len(self._prompt))
            if sequence is None:
                break
            self._live.append((self._waiting.popleft(), sequence))
        if not self._live:
            self._live.append((self._waiting.popleft(), self._source))

    def _step(self) -> list[tuple[_Growing, int]]:
        """One decode with rows of as many branches as fit; the ids drawn from it."""
        self._live.rotate(-1)
        while True:
            tokens, positions, sequences, logits, ends = self._rows()
            try:
                self._desk.compute(Batch(tokens, positions, sequences, logits))
                break
            except KvFull:
                self._unseat()
        taken = dict.fromkeys(sequences, 0)
        for sequence in sequences:
            taken[sequence] += 1
        drawn: list[tuple[_Growing, int]] = []
        for each, sequence in self._live:
            count = taken.get(sequence.id, 0)
            sequence.append(each.todo[:count])
            del each.todo[:count]
            if each.number in ends:
                drawn.append((each, each.draw(ends[each.number])))
                if each.reason is None and len(sequence) >= self._info.n_ctx:
                    each.reason = FinishReason.LENGTH
        return drawn

    def _rows(self) -> tuple[list[int], list[int], list[int], list[bool], dict[int, int]]:
        """The columns of the next batch, and by branch the row that its next id is drawn from."""
        tokens: list[int] = []
        positions: list[int] = []
        sequences: list[int] = []
        logits: list[bool] = []
        ends: dict[int, int] = {}
        for each, sequence in self._live:
            count = min(len(each.todo), self._info.n_batch - len(tokens))
            if count == 0 or len(ends) == self._info.n_logit_rows:
                continue
            tokens += each.todo[:count]
            positions += range(len(sequence), len(sequence) + count)
            sequences += [sequence.id] * count
            complete = count == len(each.todo)
            logits += [False] * (count - 1) + [complete]
            if complete:
                ends[each.number] = len(tokens) - 1
        return tokens, positions, sequences, logits, ends

    def _unseat(self) -> None:
        """The memory is full: the branch that came last begins again when another one has ended."""
        if len(self._live) < 2:
            raise KvFull("The KV memory is full; ask for fewer continuations, or compact the conversation.")
        each, sequence = self._live.pop()
        self._desk.cache.drop(sequence)
        self._desk.cache.release(sequence)
        each.todo = list(each.ids)
        self._waiting.appendleft(each)
        self._most_live = len(self._live)

    def _clear(self, ended: Sequence[_Growing]) -> None:
        """Let go of the sequences of branches that have ended; what they hold stays in the cache."""
        for each, sequence in [pair for pair in self._live if pair[0] in ended]:
            self._live.remove((each, sequence))
            if sequence is self._source:
                self._back_to_prompt(sequence)
            else:
                self._desk.cache.release(sequence)

    def _tell(self, drawn: Sequence[tuple[_Growing, int]], ended: Sequence[_Growing]) -> Generator[EngineEvent]:
        self.decoded += len(drawn)
        for each, token in drawn:
            yield BranchDecoded(each.number, (token,))
        for each in ended:
            if each.reason is not None:
                yield BranchFinished(each.number, each.reason)

    def _leave(self) -> None:
        """Whatever happened: nothing is held, and no half-decoded row is left in a branch."""
        for _, sequence in self._live:
            if sequence is not self._source:
                self._desk.cache.drop(sequence)
                self._desk.cache.release(sequence)
        self._live.clear()

    def _back_to_prompt(self, sequence: KVSequence, behind: Sequence[int] = ()) -> None:
        """Let ``sequence`` hold the prompt and the ids ``behind`` it, which it has held before, and nothing else."""
        wanted = [*self._prompt, *behind]
        self._desk.cache.trim(sequence, len(wanted))
        # What a cut that had to fall back further has lost is read again.
        while (start := len(sequence)) < len(wanted):
            self._append(sequence, wanted[start : start + self._info.n_batch], every_row=False)

    def _append(self, sequence: KVSequence, tokens: Sequence[int], *, every_row: bool) -> None:
        start, count = len(sequence), len(tokens)
        self._desk.compute(Batch(tokens, range(start, start + count), [sequence.id] * count, [every_row] * count))
        sequence.append(tokens)
