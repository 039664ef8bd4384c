"""One try of ``agent fix``: ask the model, change the files, run the tests.

Which tries are made in which order is ``agent.attempts``'s matter; what is kept in the end, ``agent.fix``'s.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from agent.attempts import FEW_CHANGES, Attempt, Shape, direct_attempts, stated_attempts
from agent.briefing import Briefing, code_without, describe_failures
from agent.compiler_hints import compiler_hints
from agent.errors import AgentError
from agent.events import AgentEvent, Notice, RunEnd, RunFinished, RunStarted
from agent.evidence import Evidence, Sources, Suspect, gather
from agent.failures import TestRun
from agent.lead_in import body_lines, frame, head_lines, source_of
from agent.messages import ToolCall, Usage
from agent.missing_imports import missing_imports
from agent.model import ResponseOptions
from agent.proposal import Edit, propose
from agent.rewind import Mark
from agent.run import Limits, RunOptions
from agent.session import Session
from agent.small_changes import (
    Files,
    Preferences,
    SmallChange,
    files_after,
    likely_changes,
    missing_returns,
    misspellings,
    says_what_is_wrong,
)
from agent.syntax_repairs import syntax_repairs
from prompts import load
from tools.base import FileChange
from tools.text import decode

Emit = Callable[[AgentEvent], None]

_Tried = tuple[Edit, ...] | tuple[FileChange, ...]
"""What the tests judged: edits that were made, or what a model left."""

# What the failure names is tried for so long, going by how long the tests took, before the model is asked.
_STATED_SECONDS = 30.0
_LEAST_STATED = 2
_LONG_BODY = 12  # lines; on two cores a small model writes one a second


@dataclass(frozen=True, slots=True)
class Candidate:
    """A state of the files, as changes from the start, and what the tests say about it."""

    run: TestRun
    changes: tuple[FileChange, ...] = ()

    @property
    def failed(self) -> float:
        """Failing tests; infinite where that is not known, or nothing passes at all."""
        if self.run.green:
            return 0
        return float("inf") if self.run.failed is None or not self.run.passed else max(1, self.run.failed)


@dataclass(frozen=True, slots=True)
class Workbench:
    """What a repair works with. ``sources`` are the files as they were at the start; ``wide`` shows more suspects.

    ``prefer`` is the model's opinion of small changes of the code that ``evidence`` points at. With ``stated`` what the
    failure itself names is tried before the model is asked.
    """

    session: Session
    sources: Sources
    evidence: Evidence
    prefer: Preferences
    briefing: Briefing
    wide: Briefing
    run_tests: Callable[[], Awaitable[TestRun]]
    emit: Emit
    complaint: str
    stated: bool = True


class Repair(ABC):
    """Tries on one session; each from the same start unless it goes on from the one before."""

    _again: ClassVar[str]  # the prompt that goes on from a failure

    def __init__(self, bench: Workbench, first: TestRun, origin: Mark | None = None) -> None:
        """``first`` is what the tests say of the files as they are; changes are told from ``origin`` on (None: now)."""
        self._bench = bench
        self._first = first
        self._last = first
        self._start = bench.session.checkpoint()
        self.origin = origin or self._start
        self.usage = Usage()
        self._tried: dict[_Tried, TestRun] = {}
        worth = max(_LEAST_STATED, int(_STATED_SECONDS / max(first.seconds, 0.1)))
        self._stated = _stated(bench.evidence, bench.sources)[:worth] if bench.stated else []

    async def schedule(self) -> AsyncIterator[Attempt]:
        """The attempts, in their order; endless. Raises EngineError where the model is asked for the order."""
        for attempt in stated_attempts([words for words, _ in self._stated]):
            yield attempt
        async for attempt in self._asking():
            yield attempt

    async def attempt(self, attempt: Attempt, seconds: float) -> Candidate | None:
        """Make one try of at most ``seconds``; None when it left nothing to test."""
        if attempt.shape is Shape.STATED:
            return await self._try(self._stated[attempt.line][1])
        return await self._answered(attempt, seconds)

    @abstractmethod
    def _asking(self) -> AsyncIterator[Attempt]:
        """The attempts that ask the model."""

    @abstractmethod
    async def _answered(self, attempt: Attempt, seconds: float, /) -> Candidate | None:
        """Make one of these."""

    def forget(self) -> None:
        """Leave the files as they are and forget what was said, so that another repair can go on from them."""
        self._bench.session.rewind_to(self._start, files=False)

    def _begin(self, attempt: Attempt) -> str:
        """Bring transcript and files to where the attempt starts; the text to submit."""
        if attempt.feedback and self._bench.session.messages:
            failures = describe_failures(gather(self._last, self._bench.sources))
            return load(self._again, failures=failures, command=self._first.command)
        self._bench.session.rewind_to(self._start)
        complaint = f"{self._bench.complaint.strip()}\n\n" if self._bench.complaint.strip() else ""
        return self._first_prompt(attempt, {"complaint": complaint, "command": self._first.command})

    @abstractmethod
    def _first_prompt(self, attempt: Attempt, values: dict[str, str], /) -> str:
        """The text that an attempt begins with; ``values`` are the complaint and the command."""

    async def _ask(self, text: str, options: RunOptions) -> str:
        """The model's final answer; its events go on, except for those that frame a run."""
        answer = ""
        async for event in self._bench.session.submit(text, options):
            if isinstance(event, RunFinished):
                answer = event.text
                self.usage += event.usage
                if event.end is RunEnd.ERROR:
                    raise AgentError("The model could not answer; the message above says why.")
            elif not isinstance(event, RunStarted):
                self._bench.emit(event)
        return answer

    async def _try(self, edits: tuple[Edit, ...]) -> Candidate | None:
        """Make the edits from the start on and test; what was tested before is not tested again."""
        if self._was_tried(edits):
            return None
        self._bench.session.rewind_to(self._start, conversation=False)
        if not await self._apply(edits):
            return None
        return await self._judge(edits)

    async def _apply(self, edits: Sequence[Edit]) -> bool:
        """Through the ordinary tools, so that permissions, journal and syntax check see it."""
        for number, (path, group) in enumerate(groupby(edits, key=lambda edit: edit.path)):
            pieces = [{"find": edit.old, "replace": edit.new} for edit in group]
            await self._bench.session.run_tool(ToolCall(f"look-{number}", "read", {"path": path}), lambda _: None)
            call = ToolCall(f"fix-{number}", "edit", {"path": path, "replacements": pieces})
            result = await self._bench.session.run_tool(call, self._bench.emit)
            if result.is_error:
                return False
        return True

    def _was_tried(self, tried: _Tried) -> bool:
        """Whether the tests have judged it already, which people are told."""
        if tried not in self._tried:
            return False
        self._bench.emit(Notice("This was tried before."))
        self._last = self._tried[tried]
        return True

    async def _judge(self, tried: _Tried) -> Candidate:
        self._last = self._tried[tried] = await self._bench.run_tests()
        return Candidate(self._last, tuple(self._bench.session.changes_since(self.origin)))


class DirectRepair(Repair):
    """Asks for code and turns it into an edit: for models that write a right function more surely than a right call."""

    _again = "fix/again"

    def __init__(self, bench: Workbench, first: TestRun, origin: Mark | None = None) -> None:
        super().__init__(bench, first, origin)
        self._changes: Sequence[SmallChange] | None = None  # ranked when the first is wanted

    async def _asking(self) -> AsyncIterator[Attempt]:
        shown = self._bench.wide.shown
        known = bool(shown) and shown[0].symbol is not None
        lines = len(body_lines(shown[0], self._bench.sources)) if known else 0
        first = says_what_is_wrong(self._bench.evidence, self._bench.sources)
        hangs = self._first.timed_out
        # A few small changes cost a short reading and a run of the tests each.
        long = not hangs and lines >= max(_LONG_BODY, (FEW_CHANGES + 1) * self._first.seconds)
        for attempt in direct_attempts(len(shown), lines, changes_first=first, long=long, hangs=hangs):
            if attempt.shape is not Shape.CHANGE or attempt.line < len(await self._ranked()):
                yield attempt

    async def _ranked(self) -> Sequence[SmallChange]:
        """The small changes: the model reads the suspects' code once."""
        if self._changes is None:
            self._changes = await likely_changes(self._bench.evidence, self._bench.sources, self._bench.prefer)
        return self._changes

    async def _answered(self, attempt: Attempt, seconds: float, /) -> Candidate | None:
        """One answer, applied and tested."""
        if attempt.shape is Shape.CHANGE:
            return await self._try(((await self._ranked())[attempt.line].edit,))
        briefing = self._briefing(attempt)
        target = self._target(attempt)
        around = frame(attempt, target, self._bench.sources)
        response = ResponseOptions(
            attempt.max_tokens,
            attempt.temperature,
            attempt.seed,
            tool_choice="none",
            prefix=around.prefix,
            stop=around.stop,
            # The prompt of an answer anew leaves the present body out; most of its lines come back all the same.
            references=(source_of(target, self._bench.sources),) if target and target.symbol else (),
        )
        limits = Limits(turns=1, seconds=None if seconds == float("inf") else seconds)
        answer = await self._ask(self._begin(attempt), RunOptions(limits, response)) + around.rest
        edits = tuple(propose(answer, self._files(briefing), briefing.paths))
        if not edits:
            self._bench.emit(Notice("This answer holds no change."))
            return None
        return await self._try(edits)

    def _first_prompt(self, attempt: Attempt, values: dict[str, str], /) -> str:
        briefing, suspect = self._briefing(attempt), self._target(attempt)
        if attempt.shape not in (Shape.ANEW, Shape.LINE) or suspect is None or suspect.symbol is None:
            return load("fix/direct", **values, failures=briefing.failures, code=briefing.code)
        head = head_lines(suspect, self._bench.sources)
        code = code_without(suspect, briefing.shown, self._bench.sources, head)
        return load("fix/anew", **values, failures=briefing.failures, code=code, name=suspect.symbol.name)

    def _target(self, attempt: Attempt) -> Suspect | None:
        shown = self._briefing(attempt).shown
        return shown[attempt.target % len(shown)] if shown else None

    def _briefing(self, attempt: Attempt) -> Briefing:
        return self._bench.wide if attempt.wide or attempt.feedback else self._bench.briefing

    def _files(self, briefing: Briefing) -> dict[str, str]:
        return {path: self._bench.sources.text(path) for path in briefing.paths}


def _stated(evidence: Evidence, sources: Sources) -> list[tuple[str, tuple[Edit, ...]]]:
    """What the failures themselves name, in words and as edits."""
    named = [
        *(("what the compiler proposes", edits) for edits in compiler_hints(evidence, sources)),
        *(("a sign or a depth that makes the file parse", (edit,)) for edit in syntax_repairs(evidence, sources)),
        *((str(wanted), (edit,)) for wanted, edit in missing_imports(evidence, sources)),
        *((words, (edit,)) for words, edit in misspellings(evidence, sources)),
        *(("the result returned", (edit,)) for edit in missing_returns(evidence, sources)),
    ]
    # Two of them may name the same, in other words.
    made: dict[Files, tuple[str, tuple[Edit, ...]]] = {}
    for words, edits in named:
        made.setdefault(files_after(edits, sources), (words, edits))
    return list(made.values())


def restoring_calls(changes: Sequence[FileChange]) -> list[ToolCall]:
    """Tool calls that bring files from their state before to the one after."""
    calls: list[ToolCall] = []
    for number, change in enumerate(changes):
        if change.after is None:
            continue
        after = decode(change.after).text
        if change.before is None:
            calls.append(ToolCall(f"keep-{number}", "write", {"path": change.path, "content": after}))
            continue
        pieces = [{"find": decode(change.before).text, "replace": after}]
        calls.append(ToolCall(f"look-{number}", "read", {"path": change.path}))
        calls.append(ToolCall(f"keep-{number}", "edit", {"path": change.path, "replacements": pieces}))
    return calls
