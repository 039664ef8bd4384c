"""Tries of ``agent fix`` by models that work with tools: a run of the loop each, then the tests."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from agent.attempts import Attempt, Shape, tool_attempts
from agent.events import Notice
from agent.evidence import Excerpt
from agent.failures import TestRun
from agent.messages import AssistantMessage, ToolResultMessage
from agent.model import Quotable, ResponseOptions
from agent.repair import Candidate, Repair, Workbench
from agent.rewind import Mark
from agent.run import Limits, RunOptions
from agent.suspected_lines import suspected_lines
from prompts import load
from tools.base import FileChange
from tools.edit import EditTool
from tools.text import decode

# Turns of one try with tools; a model that needs more is lost, and a fresh start serves it better.
_TOOL_TURNS = 16
_TOOL_FAILURES = 4  # in a row: who makes the fifth edit that cannot be made, too
_PLACE_ANSWERS = 8  # of which one that changes its place anew is tested, while asking takes no longer than the tests
# Who draws what was tried before draws the next time from a flatter distribution; this much a time, and in all.
_WARMER, _WARMEST = 0.1, 0.6
_QUICK_ANSWER = 5.0  # seconds


class ToolRepair(Repair):
    """Lets the model work with its tools until it thinks it is done, then tests."""

    _again = "fix/again_tools"

    def __init__(self, bench: Workbench, first: TestRun, origin: Mark | None = None) -> None:
        super().__init__(bench, first, origin)
        sources = bench.sources
        self._tests = {path: _content(sources.root / path) for path in sources.paths if sources.is_test(path)}
        self._repeated = 0  # more often than something new was tried
        self._places = suspected_lines(bench.evidence, bench.wide.shown, sources)
        self._visits = Counter[Excerpt]()
        self._answers, self._answering = 0, 0.0  # how many, and their seconds

    async def _asking(self) -> AsyncIterator[Attempt]:
        for attempt in tool_attempts(len(self._places), lambda: self._answering < _QUICK_ANSWER * self._answers):
            yield attempt

    async def _answered(self, attempt: Attempt, seconds: float, /) -> Candidate | None:
        """One run of the loop and the tests."""
        if attempt.shape is Shape.PLACE:
            return await self._at(self._places[attempt.line], attempt, seconds)
        before = tuple(self._bench.session.changes_since(self._start)) if attempt.feedback else ()
        changes = await self._changed(attempt, seconds, self._repeated)
        if changes == before:
            self._bench.emit(Notice("The model changed nothing."))
            return None
        if self._was_tried(changes):
            self._repeated += 1
            return None
        self._repeated = max(0, self._repeated - 1)
        return await self._judge(changes)

    async def _at(self, place: Excerpt, attempt: Attempt, seconds: float) -> Candidate | None:
        """Answers of one turn that can change one place only, until one is new, and the tests."""
        began = time.monotonic()
        for _ in range(_PLACE_ANSWERS):
            visits = self._visits[place]
            self._visits[place] += 1
            temperature = attempt.temperature if visits else 0.0  # the likeliest change of a place comes first
            again = replace(attempt, temperature=temperature, seed=attempt.seed + (visits << 16))
            changes = await self._changed(again, seconds - (time.monotonic() - began), visits - 1, place)
            if changes and changes not in self._tried:
                return await self._judge(changes)
            called = isinstance(self._bench.session.messages[-1], ToolResultMessage)
            if not called or time.monotonic() - began > min(seconds, self._first.seconds):
                break
        self._bench.emit(Notice(f"No new change of line {place.start} in {place.path} came up."))
        return None

    async def _changed(
        self, attempt: Attempt, seconds: float, repeated: int, place: Excerpt | None = None
    ) -> tuple[FileChange, ...]:
        """What is changed after one run of the loop; drawn from a flatter distribution the more was ``repeated``."""
        warmer = min(_WARMEST, _WARMER * max(0, repeated))
        response = ResponseOptions(attempt.max_tokens, attempt.temperature, attempt.seed, warmer=warmer)
        time_left = None if seconds == float("inf") else seconds
        limits = Limits(1 if place else _TOOL_TURNS, seconds=time_left, failures=_TOOL_FAILURES)
        text = self._begin(attempt)
        first = replace(response, quotable=self._quotable(place))
        began = time.monotonic()
        self._bench.session.point_at((place.path, place.start, place.text) if place else None)
        try:
            await self._ask(text, RunOptions(limits, response, first))
        finally:
            self._bench.session.point_at(None)
        self._answers, self._answering = self._answers + 1, self._answering + time.monotonic() - began
        self._protect_tests()
        return tuple(self._bench.session.changes_since(self._start))

    def _first_prompt(self, _attempt: Attempt, values: dict[str, str], /) -> str:
        briefing = self._bench.wide
        for path in briefing.paths:
            self._bench.session.show_file(path, self._bench.sources.content(path))
        return load("fix/tools", **values, failures=briefing.failures, code=briefing.code)

    def _quotable(self, place: Excerpt | None) -> Quotable | None:
        """What the first answers can edit: the files that the prompt shows, as they are now, or one place in them.

        Nothing is held to once the model has used other tools than edits: it may have read other files.
        """
        bench = self._bench
        used = {call.name for each in bench.session.messages if isinstance(each, AssistantMessage)
                for call in each.tool_calls}  # fmt: skip
        if used - {EditTool.name}:
            return None
        contents = {path: _content(bench.sources.root / path) or b"" for path in bench.wide.paths}
        files = tuple((path, decode(content).text.replace("\r\n", "\n")) for path, content in contents.items())
        parts = ((place.path, place.text),) if place else ()
        return Quotable(EditTool.name, "path", "find", "replace", files, parts) if files else None

    def _protect_tests(self) -> None:
        """Tests that a command changed are put back: the judge must not be bent."""
        allowed = {change.path for change in self._bench.session.changes_since(self._start)}
        for path, content in self._tests.items():
            target = self._bench.sources.root / path
            if path not in allowed and content is not None and _content(target) != content:
                target.write_bytes(content)
                self._bench.emit(Notice(f"A command had changed {path}; it is as it was."))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
