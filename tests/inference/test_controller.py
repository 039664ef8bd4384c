"""The controller on simulated machines: it must gain where there is something to gain and never lose anywhere.

The machine takes as long as a table of measured costs says, and writes a given text whatever is drafted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from inference.acceptance import Acceptance, Grounds
from inference.controller import Controller, Knowledge
from inference.drafters import Drafter, Generation, Prediction
from inference.drafters.copy import CopyDrafter
from inference.drafters.forced import ForcedDrafter
from inference.prefix_cache import PrefixCache
from inference.request import Finished, Region, Request, Stats, TokensDecoded
from inference.step_costs import StepCosts
from inference.worker import Worker, WorkerOptions
from tests.fakes.timed_backend import GPU, QWEN_TWO_CORES, TimedBackend

END = 999
MACHINES = {"two cores": QWEN_TWO_CORES, "a GPU": GPU}
NEVER_BELOW = 0.97  # of plain decoding, whatever is drafted


@dataclass
class Oracle:
    """A drafter that knows the text and spoils each token with the chance that ``wrong(position)`` says.

    Each token costs ``ms`` on the machine's clock, each call ``call_ms``, and the first one ``first_ms`` more.
    """

    backend: TimedBackend
    wrong: Callable[[int], float]
    ms: float
    call_ms: float = 0.0
    first_ms: float = 0.0
    name: str = "oracle"
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    calls: int = 0

    def begin(self, generation: Generation) -> Prediction:
        return self

    def follow(self, tokens: Sequence[int], row: int) -> None: ...

    def wait_ms(self, tokens: Sequence[int]) -> float:
        return 0.0 if self.calls else self.first_ms

    def draft(self, tokens: Sequence[int], limit: int) -> Sequence[int]:
        self.backend.seconds += self.wait_ms(tokens) / 1000
        self.calls += 1
        self.backend.seconds += (self.call_ms + self.ms * limit) / 1000
        start = len(tokens)
        right = self.backend.script[start : start + limit]
        return [998 if self.dice.random() < self.wrong(start + i) else token for i, token in enumerate(right)]

    def close(self) -> None: ...


@dataclass
class Machine:
    """One model on one machine, for several requests; ``knowledge`` may come from an earlier start."""

    costs: dict[int, float]
    knowledge: Knowledge = field(default_factory=lambda: Knowledge(StepCosts()))
    oracle: Callable[[TimedBackend], Drafter] | None = None

    def __post_init__(self) -> None:
        self.backend = TimedBackend((), self.costs)
        self.knowledge.steps.probe(self.backend, seconds=1e9, clock=self.backend.clock)
        predictors = [self.oracle(self.backend)] if self.oracle else []
        lookups = (ForcedDrafter(), CopyDrafter())
        planner = Controller(self.knowledge, lookups, predictors, clock=self.backend.clock)
        self.worker = Worker(self.backend, PrefixCache(self.backend), planner, WorkerOptions(clock=self.backend.clock))

    def write(self, prompt: Sequence[int], output: Sequence[int], regions: tuple[Region, ...] = ()) -> Stats:
        """Serve a request whose answer is ``output``, and check that it is."""
        self.backend.script = [*prompt, *output, END]
        self.backend.rows.clear()
        request = Request("a", tuple(prompt), 1 << 14, stop_ids=frozenset({END}), regions=regions)
        events = list(self.worker.serve(request, lambda: False))
        ids = [token for event in events if isinstance(event, TokensDecoded) for token in event.ids]
        assert ids == [*output, END]
        end = events[-1]
        assert isinstance(end, Finished)
        return end.stats

    def speed(self, stats: Stats) -> float:
        """Against plain decoding, in the time of the machine's clock."""
        return (stats.decoded_tokens - 1) * self.backend.cost(1) / stats.decode_ms


def text(length: int, seed: int, ids: int = 600) -> list[int]:
    dice = random.Random(seed)
    return [dice.randrange(ids) for _ in range(length)]


def edited(source: Sequence[int], seed: int, every: int = 100) -> list[int]:
    """A rewrite: about once in ``every`` tokens one to three tokens are replaced, dropped or inserted."""
    dice = random.Random(seed)
    output: list[int] = []
    at = 0
    while at < len(source):
        if dice.random() < 1 / every:
            output += [dice.randrange(600, 990) for _ in range(dice.randrange(4))]
            at += dice.randrange(4)
        else:
            output.append(source[at])
            at += 1
    return output


@pytest.mark.parametrize("machine", MACHINES)
def test_new_text_is_written_as_fast_as_without_drafting(machine: str) -> None:
    tested = Machine(MACHINES[machine])
    for seed in range(3):
        assert tested.speed(tested.write(text(400, 10 + seed), text(600, 20 + seed))) >= NEVER_BELOW


@pytest.mark.parametrize(("machine", "least"), [("two cores", 2.5), ("a GPU", 11.0)])
def test_a_pure_copy_runs_near_the_speed_of_reading(machine: str, least: float) -> None:
    """A decode of 64 rows costs as much as 21 or 4 plain ones: 3.0 or 16.8 times the speed is all that can be had."""
    tested = Machine(MACHINES[machine])
    source = text(1000, 1)
    assert tested.speed(tested.write(source, source)) >= least


@pytest.mark.parametrize(("machine", "least"), [("two cores", 1.9), ("a GPU", 6.0)])
def test_a_rewrite_with_edits_is_copied_around_them(machine: str, least: float) -> None:
    tested = Machine(MACHINES[machine])
    source = text(1000, 1)
    assert tested.speed(tested.write(source, edited(source, 2))) >= least


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("chance", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("ms", [0.07, 0.5, 2.0])
def test_a_drafter_never_costs_more_than_it_may(machine: str, chance: float, ms: float) -> None:
    """``ms`` in parts of a plain step: a drafter may be cheap or cost more than the target itself."""
    costs = MACHINES[machine]
    tested = Machine(costs, oracle=lambda backend: Oracle(backend, lambda _: 1 - chance, ms * costs[1]))
    for seed in range(2):
        assert tested.speed(tested.write(text(50, 10 + seed), text(700, 20 + seed))) >= NEVER_BELOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("steps", [1, 12, 300])
def test_a_drafter_that_reads_the_prompt_first_is_only_tried_when_that_can_be_afforded(
    machine: str, steps: int
) -> None:
    costs = MACHINES[machine]
    oracles: list[Oracle] = []

    def oracle(backend: TimedBackend) -> Oracle:
        oracles.append(Oracle(backend, lambda _: 1.0, 0.3 * costs[1], first_ms=steps * costs[1]))
        return oracles[-1]

    tested = Machine(costs, oracle=oracle)
    assert tested.speed(tested.write(text(50, 10), text(250, 20))) >= NEVER_BELOW
    assert bool(oracles[0].calls) == (steps == 1)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("stretch", [7, 30, 200])
def test_a_drafter_that_is_right_until_it_is_trusted_wins_nothing_by_it(machine: str, stretch: int) -> None:
    """The worst case for whoever learns: what was always right is suddenly always wrong, and back."""
    costs = MACHINES[machine]

    def wrong(position: int) -> float:
        return position // stretch % 2

    tested = Machine(costs, oracle=lambda backend: Oracle(backend, wrong, 0.07 * costs[1]))
    for seed in range(2):
        assert tested.speed(tested.write(text(50, 10 + seed), text(800, 20 + seed))) >= NEVER_BELOW


@pytest.mark.parametrize("machine", MACHINES)
def test_copies_that_break_off_as_soon_as_they_are_trusted_do_not_lose(machine: str) -> None:
    """The output repeats ever new stretches of the prompt, each a little longer than the longest agreement so far."""
    source = text(3000, 1)
    dice = random.Random(2)
    output: list[int] = []
    for stretch in (3, 5, 8, 12, 20, 35, 9, 6, 40, 4) * 4:
        at = dice.randrange(len(source) - stretch)
        output += source[at : at + stretch]
    tested = Machine(MACHINES[machine])
    assert tested.speed(tested.write(source, output)) >= NEVER_BELOW


@pytest.mark.parametrize(("machine", "least"), [("two cores", 1.45), ("a GPU", 4.1)])
def test_a_good_drafter_is_used_for_what_it_is_worth(machine: str, least: float) -> None:
    """0.99 right at 0.07 of a step a token: the costs allow 1.64 (16 rows) and 4.57 (8 rows) times the speed."""
    costs = MACHINES[machine]
    tested = Machine(costs, oracle=lambda backend: Oracle(backend, lambda _: 0.01, 0.07 * costs[1]))
    tested.write(text(50, 1), text(300, 2))
    assert tested.speed(tested.write(text(50, 3), text(800, 4))) >= least


def test_what_an_earlier_request_gained_is_not_lost_by_a_later_one() -> None:
    tested = Machine(QWEN_TWO_CORES)
    source = text(1000, 1)
    assert tested.speed(tested.write(source, source)) > 2
    trap = [token for at in range(0, 900, 30) for token in (*source[at : at + 20], 700 + at % 200)]
    assert tested.speed(tested.write(source, trap)) >= NEVER_BELOW


def test_kinds_of_text_are_learned_apart() -> None:
    """Prose that starts to quote and breaks off does not make the copying of files timid."""
    prose, fence = 990, (991,)
    regions = (Region(fence, "content"),)
    source = text(600, 1)
    tested = Machine(QWEN_TWO_CORES)
    for seed in range(3):
        broken = [token for at in range(0, 560, 14) for token in (*source[at : at + 9], prose, seed)]
        tested.write(source, broken, regions)
    acceptance = tested.knowledge.acceptance.local()
    tested.write(source, [*fence, *source[:300]], regions)
    long = Grounds.of("copy", "match", 9)
    assert acceptance.expected("content", long) > acceptance.expected("prose", long) + 0.1


def test_a_later_start_goes_on_with_what_was_learned() -> None:
    first = Machine(QWEN_TWO_CORES, oracle=lambda backend: Oracle(backend, lambda _: 1.0, 3.0))
    for seed in range(4):
        first.write(text(50, seed), text(400, 20 + seed))
    kept = Knowledge(StepCosts(first.knowledge.steps.measured()), Acceptance.load(first.knowledge.acceptance.dump()))
    calls: list[Oracle] = []

    def oracle(backend: TimedBackend) -> Oracle:
        calls.append(Oracle(backend, lambda _: 1.0, 3.0))
        return calls[-1]

    second = Machine(QWEN_TWO_CORES, kept, oracle)
    stats = second.write(text(50, 7), text(400, 40))
    assert stats.drafters == (), "nothing of what is known to be wrong is verified again"


def test_without_measured_costs_nothing_is_drafted() -> None:
    backend = TimedBackend((), GPU)
    planner = Controller(Knowledge(StepCosts()), (CopyDrafter(),), clock=backend.clock)
    worker = Worker(backend, PrefixCache(backend), planner, WorkerOptions(clock=backend.clock))
    backend.script = [*text(50, 1), *text(50, 1), END]
    events = list(worker.serve(Request("a", tuple(text(50, 1)), 100, stop_ids=frozenset({END})), lambda: False))
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.stats.drafted_tokens, end.stats.decoded_tokens) == (0, 51)


def test_the_numbers_of_the_drafters_add_up() -> None:
    tested = Machine(GPU, oracle=lambda backend: Oracle(backend, lambda _: 0.3, 0.5))
    source = text(400, 1)
    stats = tested.write(source, [*text(100, 2), *edited(source, 3)])
    assert {drafter.name for drafter in stats.drafters} == {"copy", "oracle"}
    assert sum(drafter.drafted for drafter in stats.drafters) == stats.drafted_tokens
    assert sum(drafter.accepted for drafter in stats.drafters) == stats.accepted_tokens
