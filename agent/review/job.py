"""A review from changed files to a report: certain checks, then the model's judgement of each passage.

It prints nothing and loads nothing: the model is opened by ``open_scorer`` when there is something for it to judge.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from agent.errors import AgentError
from agent.review.accepted import Baseline, is_ignored, not_accepted
from agent.review.cache import JudgementCache
from agent.review.checks import check_file
from agent.review.findings import Finding, Priority, ranked
from agent.review.judge import Judgement, Scorer, judge
from agent.review.passages import Passage, passages
from inference.errors import EngineError
from tools.git_changes import ChangedFile

_SURE = 0.85  # a finding this sure is of high priority
_HEADER_LINES = 30  # of imports above a file's first definition
_IMPORT = re.compile(r"^(?:import|from|#include|use|using|package|const \w+ = require)\b")


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """``min_confidence`` (0 to 1) is asked of the model's findings; ``seconds`` bounds its part."""

    min_confidence: float = 0.5
    seconds: float | None = None
    model: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """So many of the passages are judged; ``seconds_left`` is known after the first."""

    done: int
    total: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class OpenedScorer:
    """A scorer and the name of its model, which judgements are kept under."""

    scorer: Scorer
    cache: JudgementCache


@dataclass(slots=True)
class _Judged:
    findings: list[Finding]
    notes: list[str]


class ReviewJob:
    """One review of some changed files."""

    def __init__(
        self,
        options: ReviewOptions,
        open_scorer: Callable[[], Awaitable[OpenedScorer]],
        progress: Callable[[Progress], None],
    ) -> None:
        self._options = options
        self._open_scorer = open_scorer
        self._progress = progress
        self._began = time.monotonic()

    async def run(self, files: Sequence[ChangedFile], baseline: Baseline) -> tuple[list[Finding], list[str], int]:
        """Findings (ranked, all of them), notes, and how many files were reviewed.

        A model that cannot be used or is too slow leaves a note, and the certain checks stand.
        """
        notes = [f"{file.path} not reviewed: {file.skipped}." for file in files if file.skipped]
        reviewed = [file for file in files if file.skipped is None]
        findings = [finding for file in reviewed for finding in check_file(file)]
        broken = {finding.path for finding in findings if finding.rule == "syntax"}
        if self._options.model:
            pieces = [(file, each) for file in reviewed if file.path not in broken for each in passages(file)]
            judged = await self._judged(pieces)
            findings += judged.findings
            notes += judged.notes
        texts = {file.path: (file.new or "").splitlines() for file in reviewed}
        kept = [finding for finding in findings if not is_ignored(finding, texts[finding.path])]
        return ranked(not_accepted(kept, baseline)), notes, len(reviewed)

    async def _judged(self, pieces: Sequence[tuple[ChangedFile, Passage]]) -> _Judged:
        judged = _Judged([], [])
        if not pieces:
            return judged
        try:
            async with asyncio.timeout(self._seconds_left()):
                opened = await self._open_scorer()
                await self._judge_all(pieces, opened, judged)
        except TimeoutError:
            judged.notes.append("The time limit was reached: not every change was judged by the model.")
        except (AgentError, EngineError) as error:
            judged.notes.append(f"The model judged nothing more: {error}")
        return judged

    async def _judge_all(
        self, pieces: Sequence[tuple[ChangedFile, Passage]], opened: OpenedScorer, judged: _Judged
    ) -> None:
        known = opened.cache.get(passage.key for _, passage in pieces)
        todo = [piece for piece in pieces if piece[1].key not in known]
        for file, passage in pieces:
            if passage.key in known:
                self._take(file, passage, known[passage.key], judged)
        began = time.monotonic()
        for number, (file, passage) in enumerate(todo):
            if self._seconds_left() == 0:
                raise TimeoutError
            per_passage = (time.monotonic() - began) / number if number else None
            left = None if per_passage is None else per_passage * (len(todo) - number)
            self._progress(Progress(number, len(todo), left))
            found = await judge(passage, _header(file), opened.scorer)
            relative = replace(found, line=found.line - passage.start)
            opened.cache.put(passage.key, relative)
            self._take(file, passage, relative, judged)
        self._progress(Progress(len(todo), len(todo), 0.0))

    def _take(self, file: ChangedFile, passage: Passage, found: Judgement, judged: _Judged) -> None:
        if found.confidence >= self._options.min_confidence:
            judged.findings.append(_finding(file, passage, found))

    def _seconds_left(self) -> float | None:
        if self._options.seconds is None:
            return None
        return max(0.0, self._options.seconds - (time.monotonic() - self._began))


def _finding(file: ChangedFile, passage: Passage, found: Judgement) -> Finding:
    lines = (file.new or "").splitlines()
    line = min(passage.start + found.line, max(1, len(lines)))
    code = lines[line - 1].strip() if lines else ""
    priority = Priority.HIGH if found.confidence >= _SURE else Priority.MEDIUM
    was = _counterpart(passage, code)
    body = f"In {passage.name}, what stood here before fits its surroundings better"
    body += f": `{was}`." if was else "."
    return Finding(
        file.path, line, line, priority, "This change looks like a mistake", body, found.confidence, "likelihood", code
    )


def _counterpart(passage: Passage, code: str) -> str:
    """The old line that is most like the new one, among those that went."""
    new = {line.strip() for line in passage.new.splitlines()}
    gone = [line.strip() for line in passage.old.splitlines() if line.strip() and line.strip() not in new]
    words = set(re.findall(r"\w+|\S", code))
    return max(gone, key=lambda line: len(words & set(re.findall(r"\w+|\S", line))), default="")


def _header(file: ChangedFile) -> str:
    """The file's imports: what its names mean."""
    lines = [line for line in (file.new or "").splitlines() if _IMPORT.match(line)][:_HEADER_LINES]
    return "".join(f"{line}\n" for line in lines) + ("\n\n" if lines else "")
