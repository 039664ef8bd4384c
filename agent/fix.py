"""``agent fix``: tries repairs until the tests are green or a limit is reached, and leaves the files in the best state.

It prints nothing and builds nothing: events go to ``emit``, the session comes from ``agent.assembly``. How one try goes
is in ``agent.repair``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from agent.attempts import Attempt
from agent.briefing import brief
from agent.errors import TestCommandError
from agent.events import AgentEvent, AttemptStarted, Notice, RunEnd, RunFinished, TestsFinished, TestsStarted
from agent.evidence import Evidence, Sources, gather
from agent.failures import TestRun
from agent.messages import Usage
from agent.repair import Candidate, DirectRepair, Repair, Workbench, restoring_calls
from agent.rewind import Mark
from agent.session import Session
from agent.small_changes import Preferences
from agent.tool_repair import ToolRepair
from tools.base import FileChange

Emit = Callable[[AgentEvent], None]

# What the evidence may cost in the first prompt: about 4 s of reading on a machine that reads 100 tokens a second.
BRIEFING_TOKENS = 350
# And in later ones, when what was likeliest did not help.
WIDE_BRIEFING_TOKENS = 1000
# A right answer that comes at the last moment may still be tested.
_LAST_TEST_SECONDS = 10.0
# A first run that hangs must leave time for the repair.
_FIRST_TEST_SHARE = 0.2
# Later runs may take three times as long as one that ended, and this long at the least: starting varies by as much.
_LEAST_TEST_SECONDS = 4.0
# So many attempts go on from a change that helped a part of the tests, before others are tried from the start.
_PATIENCE = 24


@dataclass(frozen=True, slots=True)
class FixOptions:
    """What is wanted; ``seconds``, ``attempts`` and ``tokens`` (generated ones, in all) end the work.

    ``keep`` leaves a failed attempt's files as they are, ``dry_run`` puts even a good repair back after showing it.
    With ``stated`` what the failure itself names is tried before the model is asked.
    """

    command: str
    complaint: str = ""
    seconds: float | None = None
    attempts: int | None = None
    tokens: int | None = None
    max_tokens: int = 1024
    seed: int = 0
    keep: bool = False
    dry_run: bool = False
    stated: bool = True


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session for fixing; ``direct`` when its model is asked for code instead of tool calls.

    ``count`` gives the tokens of a text, ``prefer`` is the model's ``preferences``.
    """

    session: Session
    direct: bool
    count: Callable[[str], int]
    prefer: Preferences


@dataclass(frozen=True, slots=True)
class FixOutcome:
    """What came of it: the first and the best test run, and how the best state differs from the start."""

    first: TestRun
    best: TestRun
    attempts: int
    changes: tuple[FileChange, ...]
    applied: bool
    seconds: float
    usage: Usage

    @property
    def green(self) -> bool:
        """Whether the tests pass with the changes."""
        return self.best.green


def check_usable(run: TestRun) -> None:
    """Raises TestCommandError when a first test run cannot judge a repair."""
    if run.exit_code in (126, 127) and not run.passed and not run.failed:
        last = run.output.strip().splitlines()[-1:] or [f"exit code {run.exit_code}"]
        raise TestCommandError(f"The test command `{run.command}` cannot run ({last[0]}); check --test.")
    if run.collected_nothing:
        raise TestCommandError(f"`{run.command}` found no tests, so nothing could be verified; check --test.")


class FixJob:
    """One repair.

    ``run_tests`` takes the seconds that the command may use (None: its usual limit). ``open_session`` is told whether
    the evidence is enough to ask for code at once.
    """

    def __init__(
        self,
        options: FixOptions,
        sources: Callable[[], Sources],
        run_tests: Callable[[float | None], Awaitable[TestRun]],
        open_session: Callable[[bool], Awaitable[OpenedSession]],
        emit: Emit,
    ) -> None:
        self._options = options
        self._sources = sources
        self._run_tests = run_tests
        self._open_session = open_session
        self._emit = emit
        self._began = time.monotonic()
        self._number = 0
        self._longest = 0.0  # seconds of a test run that ended

    async def run(self) -> FixOutcome:
        """Test, repair, test. Raises TestCommandError when the first test run cannot judge anything.

        Whatever happens, cancellation included, the files end as they were or as the tests judged better; with
        ``keep`` they stay as they are.
        """
        first = await self._test()
        check_usable(first)
        if first.green and not self._options.complaint:
            return self._finish(first, Candidate(first), applied=False, usage=Usage())
        sources = self._sources()
        evidence = gather(first, sources)
        opened = await self._open(evidence)
        session, start = opened.session, opened.session.checkpoint()
        repair = self._repair(opened, sources, evidence)
        try:
            best = await self._search(opened, repair, Candidate(first))
        except BaseException:  # cancelled, or failed: either way the files go back before anyone looks at them
            if not self._options.keep:
                session.rewind_to(start, conversation=False)
            raise
        applied = await self._settle(session, start, best, first)
        return self._finish(first, best, applied, repair.usage)

    async def _open(self, evidence: Evidence) -> OpenedSession:
        first = evidence.run
        if first.timed_out and not evidence.suspects:
            raise TestCommandError(
                f"`{first.command}` did not end within {first.seconds:.0f} s and does not say where it hangs; "
                "give --test a quicker command, or more time with --test-timeout and --max-seconds."
            )
        return await self._open_session(bool(evidence.suspects))

    def _repair(
        self, opened: OpenedSession, sources: Sources, evidence: Evidence, origin: Mark | None = None
    ) -> Repair:
        briefing = brief(evidence, sources, opened.count, BRIEFING_TOKENS)
        if briefing.shown:
            shown = ", ".join(f"{suspect.name} ({suspect.path})" for suspect in briefing.shown)
            self._emit(Notice(f"The failure points at {shown}."))
        bench = Workbench(
            session=opened.session,
            sources=sources,
            evidence=evidence,
            prefer=opened.prefer,
            briefing=briefing,
            wide=brief(evidence, sources, opened.count, WIDE_BRIEFING_TOKENS),
            run_tests=self._test,
            emit=self._emit,
            complaint=self._options.complaint,
            stated=self._options.stated,
        )
        return (DirectRepair if opened.direct else ToolRepair)(bench, evidence.run, origin)

    async def _search(
        self, opened: OpenedSession, repair: Repair, best: Candidate, patience: int | None = None
    ) -> Candidate:
        """Attempts until green, spent or out of ``patience``; the best candidate (``best`` when none was better).

        From a change that helps a part of the failing tests the search goes on: one mistake of several is mended.
        """
        last = None if patience is None else self._number + patience
        async for attempt in repair.schedule():
            left = self._seconds_left()
            if left <= 0 or self._spent(repair.usage) or self._number == last:
                break
            self._number += 1
            self._emit(AttemptStarted(self._number, attempt.strategy))
            candidate = await repair.attempt(self._numbered(attempt), left)
            if candidate is not None and candidate.failed < best.failed:
                best = candidate
                if not best.run.green:
                    best = await self._go_on(opened, repair, best)
            if best.run.green and best.changes:
                break
        return best

    async def _go_on(self, opened: OpenedSession, repair: Repair, best: Candidate) -> Candidate:
        """Search on from the files as ``best`` has left them; ``repair`` can go on from its own start afterwards."""
        repair.forget()
        self._emit(Notice(f"Better: {best.run.summary}. Going on from there."))
        sources = self._sources()
        following = self._repair(opened, sources, gather(best.run, sources), repair.origin)
        following.usage = repair.usage
        best = await self._search(opened, following, best, _PATIENCE)
        repair.usage = following.usage
        return best

    def _spent(self, usage: Usage) -> bool:
        budgets = ((self._options.attempts, self._number), (self._options.tokens, usage.decoded_tokens))
        return any(limit is not None and used >= limit for limit, used in budgets)

    def _numbered(self, attempt: Attempt) -> Attempt:
        """Each attempt draws with a seed of its own, all of them from the one that was asked for."""
        return replace(attempt, seed=self._options.seed * 1000 + self._number, max_tokens=self._options.max_tokens)

    async def _settle(self, session: Session, start: Mark, best: Candidate, first: TestRun) -> bool:
        """Bring the files into the state that was found best; whether they differ from the start then."""
        if self._options.keep and not best.run.green and not self._options.dry_run:
            return bool(session.changes_since(start))
        if best.run.green and not self._options.dry_run and best.changes == tuple(session.changes_since(start)):
            return bool(best.changes)
        report = session.rewind_to(start, conversation=False)
        if report.refused:
            self._emit(Notice(report.sentence(), is_error=True))
            return True
        if self._options.dry_run or best.run is first:
            return False
        for call in restoring_calls(best.changes):
            await session.run_tool(call, lambda _: None)
        return True

    def _seconds_left(self) -> float:
        if self._options.seconds is None:
            return float("inf")
        return self._options.seconds - (time.monotonic() - self._began)

    def _test_seconds(self) -> float | None:
        """What a test run may take: at first a part of all the time, then not much more than it took before."""
        left = self._seconds_left()
        if left == float("inf"):
            return None
        if not self._longest:
            return max(left * _FIRST_TEST_SHARE, _LAST_TEST_SECONDS)
        return min(max(left, _LAST_TEST_SECONDS), max(3 * self._longest, _LEAST_TEST_SECONDS))

    async def _test(self) -> TestRun:
        self._emit(TestsStarted(self._options.command, self._number))
        run = await self._run_tests(self._test_seconds())
        if not run.timed_out:
            self._longest = max(self._longest, run.seconds)
        self._emit(TestsFinished(run.green, run.passed, run.failed, run.seconds, run.summary))
        return run

    def _finish(self, first: TestRun, best: Candidate, applied: bool, usage: Usage) -> FixOutcome:
        seconds = time.monotonic() - self._began
        end = RunEnd.DONE if best.run.green else RunEnd.LIMIT
        self._emit(RunFinished(end, best.run.summary, self._number, seconds, usage))
        return FixOutcome(first, best.run, self._number, best.changes, applied, seconds, usage)
