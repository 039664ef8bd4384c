"""A Python file that does not parse: small changes at the place that the parser names, of which only those are kept
that make it parse.

No model is asked; which of them is meant, the tests decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.evidence import Evidence, Sources
from agent.proposal import Edit, replacing_lines
from tools.python_tree import syntax_error

_MOST = 6  # tries for one file
_BELOW = 4  # lines in which a bracket may have to be closed
_OPENS_A_BLOCK = re.compile(
    r"\s*(?:async\s+)?(?:def|class|if|elif|else|for|while|try|except|finally|with|match|case)\b"
)
_CLOSERS = ")]}"
_COMMENT = re.compile(r"\s*(?:#[^'\"]*)?$")
_STEP = 4


def syntax_repairs(evidence: Evidence, sources: Sources) -> list[Edit]:
    """Edits that make a file parse which a failure names and that does not; the likeliest first."""
    paths = dict.fromkeys(path for failure, _ in evidence.tests for path, _ in sources.places(failure))
    own = [path for path in paths if path.endswith(".py") and not sources.is_test(path)]
    return [edit for path in own for edit in repairs(path, sources.text(path))]


def repairs(path: str, text: str) -> list[Edit]:
    """Edits of one file, ``text``; none where it parses."""
    error = syntax_error(text)
    if error is None or error.lineno is None:
        return []
    lines = text.split("\n")
    found: dict[str, Edit] = {}
    for at, new in _candidates(error, lines):
        changed = "\n".join([*lines[: at - 1], *new, *lines[at - 1 + len(new) :]])
        if changed not in found and syntax_error(changed) is None:
            found[changed] = replacing_lines(path, lines, (at, at + len(new) - 1), new)
            if len(found) == _MOST:
                break
    return list(found.values())


def _candidates(error: SyntaxError, lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line numbers (from 1) and what may stand there instead, as many lines as are replaced."""
    line = min(error.lineno or 1, len(lines))
    above = next((number for number in range(line - 1, 0, -1) if lines[number - 1].strip()), line)
    message = error.msg
    if isinstance(error, IndentationError):
        yield from _indented(line, above, lines)
    for number in dict.fromkeys((line, above)):
        if _OPENS_A_BLOCK.match(lines[number - 1]):
            yield number, [_at_the_end(lines[number - 1], ":")]
    if "=" in message:
        yield line, [re.sub(r"(?<![=!<>:+\-*/%&|^])=(?!=)", "==", lines[line - 1], count=1)]
    if "unmatched" in message or "does not match" in message:
        at = (error.offset or 1) - 1
        here = lines[line - 1]
        yield line, [here[:at] + here[at + 1 :]]
        for closer in _CLOSERS:
            yield line, [here[:at] + closer + here[at:]]
    if "unterminated" in message:
        yield from ((line, [each]) for quote in "\"'" for each in _closed(lines[line - 1], quote))
    for number in range(above, min(line + _BELOW, len(lines)) + 1):
        for closer in _CLOSERS:
            yield from ((number, [each]) for each in _closed(lines[number - 1], closer))
    if "comma" in message:
        here, start, end = lines[line - 1], (error.offset or 1) - 1, error.end_offset or len(lines[line - 1])
        gaps = [match.start() for match in re.finditer(r"(?<=[\w\"')\]}])\s+(?=[\w\"'(\[{])", here[start:end])]
        yield from ((line, [here[: start + gap] + "," + here[start + gap :]]) for gap in gaps)
        yield from ((number, [_at_the_end(lines[number - 1], ",")]) for number in (line, above))


def _indented(line: int, above: int, lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The line as deep as the one above it, a step deeper, or as deep as any line further up; then all of its block."""
    here = lines[line - 1].lstrip()
    depths = list(
        dict.fromkeys(_depth(lines[number - 1]) for number in range(above, 0, -1) if lines[number - 1].strip())
    )
    opened = lines[above - 1].rstrip().endswith(":")
    for depth in [*([depths[0] + _STEP] if opened and depths else []), *depths]:
        yield line, [" " * depth + here]
    end = line
    while end < len(lines) and lines[end].strip() and _depth(lines[end]) >= _depth(lines[line - 1]):
        end += 1
    if opened and end > line:
        shift = depths[0] + _STEP - _depth(lines[line - 1])
        yield line, [" " * (_depth(each) + shift) + each.lstrip() for each in lines[line - 1 : end]]


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _code(line: str) -> str:
    """A line without the comment at its end."""
    return _COMMENT.sub("", line, count=1)


def _at_the_end(line: str, sign: str) -> str:
    """``sign`` behind the code of a line, before its comment."""
    at = len(_code(line))
    return line[:at] + sign + line[at:]


def _closed(line: str, sign: str) -> Iterator[str]:
    """``sign`` at the end of a line, or before what ends it: a colon, a comma, brackets."""
    yield _at_the_end(line, sign)
    code = _code(line)
    for at in range(len(code) - 1, max(0, len(code) - 4), -1):
        if code[at] not in ":,)]}":
            break
        yield line[:at] + sign + line[at:]
