"""Picks what is drafted next: the draft from which most committed tokens per millisecond are expected, or none.

It knows drafters by their protocol only; what a decode costs stands in ``step_costs``, how often drafts are right in
``acceptance``, and that it never loses is seen to by ``budget``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inference.acceptance import PLACE, Acceptance, Grounds
from inference.budget import Budget
from inference.draft_costs import DraftCosts
from inference.drafters import Drafter, Generation, Lookup, LookupDrafter, Prediction
from inference.planner import NOTHING, Outcome
from inference.regions import Regions
from inference.request import DrafterStats
from inference.step_costs import WIDTHS, StepCosts

WORTHWHILE = 1.04
"""A draft must promise so much more than a plain step: the estimates are not better than that."""

TRIAL_EVERY = 24
"""A drafter that costs time is tried in silence once in so many tokens, where it does not pay or pays in part."""

KNOWN, RARELY = 40, 8
"""What was counted for so many tokens is looked at so much more rarely."""

TRIAL_LENGTH = 3
"""So many tokens more are drafted then and compared with what comes, without being verified."""


@dataclass(slots=True)
class Draft:
    """Ids with what each rests on; ``compared`` of them were judged already."""

    ids: list[int] = field(default_factory=list[int])
    grounds: list[Grounds] = field(default_factory=list[Grounds])
    compared: int = 0

    def extend(self, drafter: str, ids: Sequence[int], source: str, agreed: int) -> None:
        """Append ids of one drafter; each id that is right adds one to the agreement."""
        self.ids += ids
        self.grounds += [Grounds.of(drafter, source, agreed + i) for i in range(len(ids))]


@dataclass(frozen=True, slots=True)
class _Choice:
    """``rate``: expected tokens per millisecond; ``length`` tokens of the predictor, or of the lookups (None)."""

    rate: float
    length: int
    predictor: int | None = None


@dataclass(slots=True)
class Knowledge:
    """What is measured and kept over requests and starts."""

    steps: StepCosts
    acceptance: Acceptance = field(default_factory=Acceptance)
    drafting: DraftCosts = field(default_factory=DraftCosts)
    budget: Budget = field(default_factory=Budget)


class Controller:
    """``inference.planner.Planner`` over any drafters.

    ``lookups`` are asked at every step, in this order, each behind the ids of those before; ``predictors`` only when
    they pay. ``keep`` is called with what was learned after every request.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        lookups: Sequence[LookupDrafter],
        predictors: Sequence[Drafter] = (),
        keep: Callable[[Knowledge], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._knowledge = knowledge
        self._lookups = tuple(lookups)
        self._predictors = tuple(predictors)
        self._keep = keep
        self._clock = clock

    def begin(self, generation: Generation) -> Control:
        """A request begins; others may be under way."""
        self._knowledge.budget.begin()
        return Control(
            self._knowledge,
            Regions(generation.request.regions),
            [(drafter.name, drafter.begin(generation)) for drafter in self._lookups],
            [(drafter.name, drafter.begin(generation)) for drafter in self._predictors],
            lambda: self._keep(self._knowledge),
            self._clock,
        )

    def close(self) -> None:
        """Free the drafters."""
        for drafter in (*self._predictors, *self._lookups):
            drafter.close()


class Control:
    """``inference.planner.Planning``: one request."""

    def __init__(
        self,
        knowledge: Knowledge,
        regions: Regions,
        lookups: Sequence[tuple[str, Lookup]],
        predictors: Sequence[tuple[str, Prediction]],
        keep: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._costs = knowledge.steps
        self._drafting = knowledge.drafting
        self._budget = knowledge.budget
        self._acceptance = knowledge.acceptance.local()
        self._regions = regions
        self._lookups = lookups
        self._predictors = predictors
        self._keep = keep
        self._clock = clock
        self._length: int | None = None  # of the tokens, at the last follow
        self._pending: list[Draft] = []  # proposals that are compared with what comes
        self._planned = Draft()
        self._draft_ms = 0.0
        self._since_trial = TRIAL_EVERY
        self._counts: dict[str, list[int]] = {name: [0, 0] for name, _ in (*lookups, *predictors)}

    def follow(self, tokens: Sequence[int], row: int) -> None:
        """The target has moved on to ``tokens``."""
        if self._length is not None:
            new = tokens[self._length :]
            self._compare(new)
            self._regions.feed(new)
            self._since_trial += len(new)
        else:
            self._regions.feed(tokens[-1:])
        self._length = len(tokens)
        for _, drafting in (*self._lookups, *self._predictors):
            drafting.follow(tokens, row)

    def plan(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        """The draft that promises most; none where plain decoding does."""
        self._planned = Draft()
        self._draft_ms = 0.0
        if limit <= 0 or not self._costs.known:
            return NOTHING
        found = self._looked_up(limit)
        choice = self._best(found, tokens, limit)
        if choice is None:
            self._try_in_silence(tokens, limit)
            return NOTHING
        if choice.predictor is not None:
            found = self._predicted(choice.predictor, tokens, min(limit, self._tried_length(choice)))
        self._planned = Draft(found.ids[: choice.length], found.grounds[: choice.length])
        return self._planned.ids

    def settle(self, outcome: Outcome) -> None:
        """How the last plan went."""
        for place, grounds in enumerate(self._planned.grounds):
            counts = self._counts[grounds.drafter]
            counts[0] += 1
            counts[1] += place < outcome.accepted
        if not self._costs.known:
            return
        expected, plain = self._costs.expected(outcome.rows), self._costs.expected(1)
        self._costs.note(outcome.rows, outcome.ms)
        # Beside another program single steps take twice as long, drafted or not; that is no loss of the draft.
        spent = min(max(outcome.ms, expected / 1.5), expected * 1.5) if outcome.rows > 1 else plain
        self._budget.note(outcome.accepted + 1, spent + self._draft_ms, plain)

    def stats(self) -> tuple[DrafterStats, ...]:
        """What each drafter contributed; those that contributed nothing are left out."""
        return tuple(DrafterStats(name, *counts) for name, counts in self._counts.items() if counts[0])

    def close(self) -> None:
        """The request has ended."""
        for _, drafting in (*self._lookups, *self._predictors):
            drafting.close()
        self._keep()

    def _looked_up(self, limit: int) -> Draft:
        """What the lookups say together; it is compared with what comes whether or not it is used."""
        draft = Draft()
        for name, lookup in self._lookups:
            proposal = lookup.propose(limit - len(draft.ids), draft.ids)
            draft.extend(name, proposal.ids, proposal.grounds, proposal.agreed)
            if len(draft.ids) >= limit:
                break
        if draft.ids:
            self._pending.append(draft)
        return draft

    def _best(self, found: Draft, tokens: Sequence[int], limit: int) -> _Choice | None:
        """The choice with the highest rate, among those whose loss the budget bears."""
        plain = self._costs.expected(1)
        best = _Choice(WORTHWHILE / plain, 0)
        for length, count in self._lengths(found.grounds, len(found.ids)):
            ms = self._costs.expected(1 + length)
            if count / ms > best.rate and self._budget.allows(ms - plain, plain):
                best = _Choice(count / ms, length)
        for number, (name, drafting) in enumerate(self._predictors):
            most = min(limit, self._drafting.longest(name))
            for length, count in self._lengths(_places(name, most), most):
                ms = self._costs.expected(1 + length) + self._drafting.expected(name, length)
                if count / ms <= best.rate or not self._budget.allows(ms - plain, plain):
                    continue
                # Whether it pays to let a drafter read the text first is known only of one that was tried.
                if self._is_known(name, 0) or self._budget.allows(ms - plain + drafting.wait_ms(tokens), plain):
                    best = _Choice(count / ms, length, number)
        return best if best.length else None

    def _lengths(self, grounds: Sequence[Grounds], most: int) -> list[tuple[int, float]]:
        """Lengths that are worth a thought, with the tokens expected from each: drafted ones and the one behind."""
        lengths: list[tuple[int, float]] = []
        kind, sure, tokens = self._regions.kind, 1.0, 1.0
        for length in range(1, most + 1):
            sure *= self._acceptance.expected(kind, grounds[length - 1])
            tokens += sure
            if 1 + length in WIDTHS or length == most:
                lengths.append((length, tokens))
            if sure < 0.05:
                break
        return lengths

    def _predicted(self, number: int, tokens: Sequence[int], length: int) -> Draft:
        """Ask a predictor, and note what it costs."""
        name, drafting = self._predictors[number]
        began = self._clock()
        ids = drafting.draft(tokens, length)[:length]
        self._draft_ms = 1000 * (self._clock() - began)
        self._drafting.note(name, len(ids), length, self._draft_ms)
        draft = Draft()
        draft.extend(name, ids, PLACE, 0)
        if ids:
            self._pending.append(draft)
        return draft

    def _tried_length(self, choice: _Choice) -> int:
        """How much is drafted for a choice: now and then more than is verified, or longer drafts would stay unknown."""
        assert choice.predictor is not None
        name, _ = self._predictors[choice.predictor]
        if not self._trial_is_due(name, choice.length):
            return choice.length
        self._since_trial = 0
        return min(2 * choice.length + TRIAL_LENGTH, self._drafting.longest(name))

    def _try_in_silence(self, tokens: Sequence[int], limit: int) -> None:
        """Let a predictor that does not pay draft now and then, to notice when it would."""
        plain = self._costs.expected(1)
        for number, (name, drafting) in enumerate(self._predictors):
            if not self._trial_is_due(name, 0):
                continue
            length = min(limit, TRIAL_LENGTH, self._drafting.longest(name))
            ms = self._drafting.expected(name, length) + drafting.wait_ms(tokens)
            if self._could_pay(name) and self._budget.allows(ms, plain):
                self._predicted(number, tokens, length)
                self._since_trial = 0

    def _could_pay(self, name: str) -> bool:
        """Whether a predictor would gain if it were always right; otherwise it need not be asked at all."""
        drafted = [rows - 1 for rows in WIDTHS if 1 < rows <= 1 + self._drafting.longest(name)]
        ms = {count: self._costs.expected(1 + count) + self._drafting.expected(name, count) for count in drafted}
        return any((1 + count) / ms[count] > WORTHWHILE / self._costs.expected(1) for count in drafted)

    def _trial_is_due(self, name: str, place: int) -> bool:
        """Whether place ``place`` of a predictor's drafts should be looked at again in this kind of text."""
        return self._since_trial >= (TRIAL_EVERY * RARELY if self._is_known(name, place) else TRIAL_EVERY)

    def _is_known(self, name: str, place: int) -> bool:
        return self._acceptance.tried(self._regions.kind, Grounds.of(name, PLACE, place)) >= KNOWN

    def _compare(self, new: Sequence[int]) -> None:
        """Note which of the pending proposals' tokens came; a proposal is done with its first wrong one."""
        kind = self._regions.kind
        going_on: list[Draft] = []
        for draft in self._pending:
            right = True
            for token in new:
                if not right or draft.compared == len(draft.ids):
                    break
                right = draft.ids[draft.compared] == token
                self._acceptance.note(kind, draft.grounds[draft.compared], right)
                draft.compared += 1
            if right and draft.compared < len(draft.ids) and draft.grounds[0].source == PLACE:
                going_on.append(draft)
        self._pending = going_on


def _places(name: str, most: int) -> list[Grounds]:
    return [Grounds.of(name, PLACE, place) for place in range(most)]
