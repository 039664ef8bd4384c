"""A review from a change to findings: certain checks, then the model's judgement of each passage, then its words.

It prints nothing and loads nothing: the model is opened by ``open_reviewer`` when there is something for it to judge.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from agent.errors import AgentError
from agent.review.accepted import Baseline, is_ignored, not_accepted
from agent.review.cache import JudgementCache
from agent.review.calls import check_callers, check_calls
from agent.review.changes import Change
from agent.review.checks import check_file
from agent.review.findings import Finding, ranked
from agent.review.judge import Judgement, Scorer, judge
from agent.review.names import check_names
from agent.review.passages import Passage, passages
from agent.review.question import Confirm
from agent.review.wording import Explain, Suspicion, plainly, with_surroundings
from inference.errors import ContextOverflow, EngineError
from tools.git_changes import ChangedFile

_MOST_EXPLAINED = 3  # findings get the model's words; more of them nobody reads, and each costs seconds
_NAMED = 5  # files in a note

Filter = Callable[[Sequence[Finding]], list[Finding]]
"""Leaves out findings that were accepted or are to be ignored."""


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """``min_confidence`` (0 to 1) is asked of the model's findings; ``seconds`` bounds its part."""

    min_confidence: float = 0.5
    seconds: float | None = None
    model: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """So many of the passages are judged; ``seconds_left`` is known after the first. ``surest`` is suspected most."""

    done: int
    total: int
    seconds_left: float | None
    surest: Finding | None = None


@dataclass(frozen=True, slots=True)
class OpenedReviewer:
    """A scorer, what its model's judgements are kept in; who is asked again and who words findings (None: nobody)."""

    scorer: Scorer
    cache: JudgementCache
    confirm: Confirm | None = None
    explain: Explain | None = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Findings (ranked, all of them), notes in sentences, and how many files were reviewed."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    files: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A passage of a file."""

    file: ChangedFile
    passage: Passage


@dataclass(slots=True)
class _Judged:
    """``left`` names a file for each piece that is not judged yet, and for each file that has not been cut up;
    ``too_long`` one for each piece that the model cannot hold."""

    suspicions: list[Suspicion] = field(default_factory=list[Suspicion])
    notes: list[str] = field(default_factory=list[str])
    pieces: list[_Piece] = field(default_factory=list[_Piece])
    left: list[str] = field(default_factory=list[str])
    too_long: list[str] = field(default_factory=list[str])
    done: int = 0

    @property
    def total(self) -> int:
        return len(self.pieces)


class ReviewJob:
    """One review of a change."""

    def __init__(
        self,
        options: ReviewOptions,
        open_reviewer: Callable[[], Awaitable[OpenedReviewer]],
        progress: Callable[[Progress], None],
    ) -> None:
        self._options = options
        self._open_reviewer = open_reviewer
        self._progress = progress
        self._began = time.monotonic()

    async def run(self, change: Change, baseline: Baseline) -> Reviewed:
        """A model that cannot be used or is too slow leaves a note, and the certain checks stand."""
        notes = [
            *change.notes,
            *(f"{file.path} not reviewed: {file.skipped}." for file in change.files if file.skipped),
        ]
        files = [file for file in change.files if file.skipped is None]
        texts = {file.path: (file.new or "").splitlines() for file in files}

        def wanted(findings: Sequence[Finding]) -> list[Finding]:
            kept = [finding for finding in findings if not is_ignored(finding, texts[finding.path])]
            return not_accepted(kept, baseline)

        findings: list[Finding] = []
        for number, file in enumerate(files):
            if number and self._seconds_left() == 0:
                notes.append(
                    f"The time limit was reached: nothing looked at {_listed([f.path for f in files[number:]])}."
                )
                files = files[:number]
                break
            findings += certain_checks(file, change)
            await asyncio.sleep(0)  # where an interruption takes effect
        if self._options.model:
            broken = {finding.path for finding in findings if finding.rule == "syntax"}
            judged = await self._judged([file for file in files if file.path not in broken], change, wanted)
            findings += [suspicion.finding for suspicion in judged.suspicions]
            notes += judged.notes
        return Reviewed(tuple(ranked(wanted(findings))), tuple(notes), len(files))

    async def _judged(self, files: Sequence[ChangedFile], change: Change, wanted: Filter) -> _Judged:
        judged = _Judged()
        try:
            async with asyncio.timeout(self._seconds_left()):
                pieces = await self._pieces(files, judged)
                if pieces:
                    opened = await self._open_reviewer()
                    await self._judge_all(pieces, opened, judged, wanted)
                    if opened.confirm is not None or opened.explain is not None:
                        judged.suspicions = [with_surroundings(each, change.repository) for each in judged.suspicions]
                    await self._confirm(opened, judged)
                    await self._word(opened, judged, wanted)
        except TimeoutError:
            judged.notes += _out_of_time(judged)
        except (AgentError, EngineError) as error:
            judged.notes.append(f"The model judged {judged.done} of {judged.total} changes: {error}")
        if judged.too_long:
            paths = _listed(list(dict.fromkeys(judged.too_long)))
            judged.notes.append(f"Changes that are too long for the model were checked without it: {paths}.")
        return judged

    async def _pieces(self, files: Sequence[ChangedFile], judged: _Judged) -> list[_Piece]:
        """What is to be judged; raises TimeoutError."""
        unread = [file.path for file in files]
        new: list[str] = []
        for file in files:
            if self._seconds_left() == 0:
                judged.left += unread
                raise TimeoutError
            for passage in passages(file):
                if passage.old:
                    judged.pieces.append(_Piece(file, passage))
                else:
                    new.append(file.path)
            unread.remove(file.path)
            await asyncio.sleep(0)
        if new:
            paths = _listed(list(dict.fromkeys(new)))
            judged.notes.append(f"New code was checked without the model, which only compares versions: {paths}.")
        judged.left = [piece.file.path for piece in judged.pieces]
        return list(judged.pieces)

    async def _judge_all(
        self, pieces: Sequence[_Piece], opened: OpenedReviewer, judged: _Judged, wanted: Filter
    ) -> None:
        """Short passages first: most is known when the time is over, and the first finding comes soon."""
        keys = {id(piece): piece.passage.key for piece in pieces}
        known = opened.cache.get(keys.values())
        todo = sorted((piece for piece in pieces if keys[id(piece)] not in known), key=lambda piece: piece.passage.size)
        for piece in pieces:
            if keys[id(piece)] in known:
                self._take(piece, known[keys[id(piece)]], judged)
        began = time.monotonic()
        sizes = [piece.passage.size for piece in todo]
        for number, piece in enumerate(todo):
            if self._seconds_left() == 0:
                raise TimeoutError
            pace = (time.monotonic() - began) / sum(sizes[:number]) if number else None
            left = None if pace is None else pace * sum(sizes[number:])
            self._progress(Progress(number, len(todo), left, _surest(judged, wanted)))
            try:
                found = await judge(piece.passage, opened.scorer)
            except ContextOverflow:
                judged.left.remove(piece.file.path)
                judged.too_long.append(piece.file.path)
                continue
            relative = replace(found, line=found.line - piece.passage.start)
            opened.cache.put(keys[id(piece)], relative)
            self._take(piece, relative, judged)
        self._progress(Progress(len(todo), len(todo), 0.0, _surest(judged, wanted)))

    def _take(self, piece: _Piece, found: Judgement, judged: _Judged) -> None:
        judged.left.remove(piece.file.path)
        judged.done += 1
        if found.confidence >= self._options.min_confidence:
            finding = plainly(piece.file, piece.passage, found)
            judged.suspicions.append(Suspicion(piece.file, piece.passage, finding))

    async def _confirm(self, opened: OpenedReviewer, judged: _Judged) -> None:
        """Ask again about what is suspected; what is no longer sure enough is dropped."""
        if opened.confirm is not None and judged.suspicions:
            asked = await opened.confirm(judged.suspicions)
            judged.suspicions[:] = [e for e in asked if e.finding.confidence >= self._options.min_confidence]

    async def _word(self, opened: OpenedReviewer, judged: _Judged, wanted: Filter) -> None:
        """Give the surest of the findings that will be shown the model's own words."""
        if opened.explain is None:
            return
        shown = set(wanted([each.finding for each in judged.suspicions]))
        surest = sorted(judged.suspicions, key=lambda each: -each.finding.confidence)
        for suspicion in [each for each in surest if each.finding in shown][:_MOST_EXPLAINED]:
            worded = await opened.explain(suspicion)
            judged.suspicions[judged.suspicions.index(suspicion)] = replace(suspicion, finding=worded)

    def _seconds_left(self) -> float | None:
        if self._options.seconds is None:
            return None
        return max(0.0, self._options.seconds - (time.monotonic() - self._began))


def certain_checks(file: ChangedFile, change: Change) -> list[Finding]:
    """What is wrong with a file for certain; a file that cannot be parsed has no names to be looked at."""
    found = check_file(file)
    if any(finding.rule == "syntax" for finding in found):
        return found
    repository = change.repository
    return [*found, *check_names(file), *check_calls(file, repository.read), *check_callers(file, repository)]


def _surest(judged: _Judged, wanted: Filter) -> Finding | None:
    found = wanted([suspicion.finding for suspicion in judged.suspicions])
    return max(found, key=lambda finding: finding.confidence, default=None)


def _out_of_time(judged: _Judged) -> list[str]:
    """A note on what is left; none where only words were still to be found."""
    paths = list(dict.fromkeys(judged.left))
    if not paths:
        return []
    return [f"The time limit was reached: the model judged {judged.done} changes, and not all in {_listed(paths)}."]


def _listed(paths: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
