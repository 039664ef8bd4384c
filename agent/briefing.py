"""Evidence as text for the model, within a budget of tokens: why the tests fail, and the code in question.

It decides how much is shown, not what is suspected (``agent.evidence`` does). Prompt tokens are dear on a machine
without a GPU: 100 a second are read where 24 are written, so the first prompt stays small.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.evidence import Evidence, Excerpt, Sources, Suspect
from agent.failures import FailedTest

_TEST_LINES = 24
_REASON_LINES = 14
_HEADER_LINES = 24
_FAILURES_SHARE = 0.4  # of the budget, for more than one failing test
_GAP = 12  # left-out stretches shorter than this are shown instead: a marker saves little there


@dataclass(frozen=True, slots=True)
class Briefing:
    """``failures`` and ``code`` as Markdown; ``shown`` are the suspects whose code it holds, the likeliest first."""

    failures: str
    code: str
    shown: tuple[Suspect, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The files shown, each once, the likeliest first."""
        return tuple(dict.fromkeys(suspect.path for suspect in self.shown))


def brief(evidence: Evidence, sources: Sources, count: Callable[[str], int], budget: int) -> Briefing:
    """A briefing of about ``budget`` tokens as ``count`` counts them.

    The first failure and the first suspect are shown whatever they cost.
    """
    failures = describe_failures(evidence)
    if count(failures) > budget * _FAILURES_SHARE:
        failures = describe_failures(evidence, most=1)
    left = budget - count(failures)
    shown: list[Suspect] = []
    code = ""
    for suspect in evidence.suspects[:8]:
        attempt = "\n\n".join(_views([*shown, suspect], sources))
        if shown and count(attempt) > left:
            continue
        shown.append(suspect)
        code = attempt
    return Briefing(failures, code, tuple(shown))


def code_without(target: Suspect, shown: Sequence[Suspect], sources: Sources, head_lines: int) -> str:
    """The same views with the body of ``target`` left out below its ``head_lines`` lines: for writing it anew."""
    assert target.symbol is not None
    first, last = target.symbol.start_line + head_lines, target.symbol.end_line
    views: list[str] = []
    for path, lines, ranges in _pieces(shown, sources):
        if path == target.path and first <= last:
            margin = _margin(lines[first - 1 : last])
            lines = [*lines[: first - 1], f"{margin}...", *[""] * (last - first), *lines[last:]]
        views.append(f"{path}:\n```{_language(path)}\n{_cut(lines, ranges)}\n```")
    return "\n\n".join(views)


def describe_failures(evidence: Evidence, most: int = 2) -> str:
    """Failing tests, ``most`` of them: where, their code, and what the runner says; the others are only counted."""
    parts: list[str] = []
    reasons: set[str] = set()
    for failure, excerpt in evidence.tests:
        if failure.reason and failure.reason in reasons:
            continue
        reasons.add(failure.reason)
        parts.append(_describe(failure, excerpt))
        if len(parts) == most:
            break
    more = len(evidence.run.failures) - len(parts)
    if more > 0:
        parts.append(f"({more} more failing {'test' if more == 1 else 'tests'}.)")
    return "\n\n".join(parts)


def _describe(failure: FailedTest, excerpt: Excerpt | None) -> str:
    lines = [f"`{failure.name}`" + (f" in {excerpt.path}:" if excerpt else ":")]
    if excerpt is not None and excerpt.text.strip():
        shown = excerpt.text.splitlines()
        if len(shown) > _TEST_LINES:
            shown = [*shown[: _TEST_LINES - 6], "    ...", *shown[-5:]]
        lines.append("```\n" + "\n".join(shown) + "\n```")
    if what := what_happened(failure.text):
        lines.append("```\n" + what + "\n```")
    return "\n".join(lines)


def what_happened(text: str) -> str:
    """The lines of a failure that say what went wrong: the failing line and pytest's ``E`` lines, or its end.

    Addresses of objects say nothing and differ from run to run, so that a prompt read before would not be known again.
    """
    text = re.sub(r"\b0x[0-9a-f]{6,}\b", "0x...", text)
    marked = [line for line in text.splitlines() if re.match(r"^(E\s|>\s)", line)]
    if marked:
        # A long comparison says the most at its beginning, right below the last frame.
        last = max((at for at, line in enumerate(marked) if line.startswith(">")), default=0)
        return "\n".join([*marked[max(0, last - 2) : last], *marked[last : last + _REASON_LINES]])
    return "\n".join(line for line in text.strip().splitlines()[-_REASON_LINES:] if line.strip())


def _views(suspects: Sequence[Suspect], sources: Sources) -> list[str]:
    """One fenced view for each file: its head and the suspects' definitions, in order, with gaps marked."""
    return [
        f"{path}:\n```{_language(path)}\n{_cut(lines, ranges)}\n```"
        for path, lines, ranges in _pieces(suspects, sources)
    ]


def _pieces(suspects: Sequence[Suspect], sources: Sources) -> Iterator[tuple[str, list[str], list[tuple[int, int]]]]:
    """For each file its path, its lines, and the ranges of lines to show."""
    for path in dict.fromkeys(suspect.path for suspect in suspects):
        lines = sources.text(path).splitlines()
        ranges = [(1, min(_header_end(path, sources), len(lines)))]
        for suspect in suspects:
            if suspect.path == path:
                ranges.extend(_ranges(suspect, sources, len(lines)))
        yield path, lines, ranges


def _ranges(suspect: Suspect, sources: Sources, total: int) -> list[tuple[int, int]]:
    if suspect.symbol is None:
        return [(max(1, suspect.line - 15), min(total, suspect.line + 15))]
    ranges = [(suspect.symbol.start_line, suspect.symbol.end_line)]
    outer = suspect.symbol.qualified_name.rpartition(".")[0]
    for symbol in sources.symbols(suspect.path):
        if outer and symbol.qualified_name == outer:
            ranges.append((symbol.start_line, symbol.line))
    return ranges


def _header_end(path: str, sources: Sources) -> int:
    """The last line of imports and constants above the first definition."""
    first = min((symbol.start_line for symbol in sources.symbols(path)), default=_HEADER_LINES + 1)
    return min(first - 1, _HEADER_LINES)


def _cut(lines: Sequence[str], ranges: Sequence[tuple[int, int]]) -> str:
    keep = {number for start, end in ranges for number in range(start, end + 1)}
    output: list[str] = []
    number = 1
    while number <= len(lines):
        if number in keep:
            output.append(lines[number - 1])
            number += 1
            continue
        end = number
        while end <= len(lines) and end not in keep:
            end += 1
        gap = lines[number - 1 : end - 1]
        if end - number < _GAP:
            output.extend(gap)
        elif end <= len(lines):
            output.append(f"{_margin(gap)}# ... lines {number}-{end - 1} ...")
        number = end
    return "\n".join(output).strip("\n")


def _margin(lines: Sequence[str]) -> str:
    first = next((line for line in lines if line.strip()), "")
    return first[: len(first) - len(first.lstrip())]


def _language(path: str) -> str:
    return {"py": "python", "js": "javascript", "ts": "typescript", "rs": "rust", "rb": "ruby", "sh": "bash"}.get(
        path.rsplit(".", 1)[-1], path.rsplit(".", 1)[-1]
    )
