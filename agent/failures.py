"""Reads what a test command printed: how many failed, which, where and why.

It runs nothing and touches no file. pytest, unittest and node's test runner are understood in detail; of anything else,
the places (``path:line``) and the end of the output.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

_PYTEST_HEADING = re.compile(r"^_{3,} (?:ERROR (?:collecting|at (?:setup|teardown) of) )?(.+?) _{3,}$", re.MULTILINE)
_PYTEST_SUMMARY = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?: - (.*))?$", re.MULTILINE)
_PYTEST_COUNT = re.compile(r"(\d+) (passed|failed|error|errors|skipped|xfailed|deselected)\b")
_PYTEST_CLOSING = re.compile(r"^(?:=+ )?((?:\d+ \w+(?:, )?)+|no tests ran) in [\d.]+s", re.MULTILINE)
_UNITTEST_HEADING = re.compile(r"^(?:FAIL|ERROR): (\S+)(?: \((.+?)\))?.*\n(?:.*\n)?-{20,}$", re.MULTILINE)
_UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)
_UNITTEST_FAILED = re.compile(r"^FAILED \((.+)\)$", re.MULTILINE)
_NODE_COUNT = re.compile(r"^(?:#|ℹ) (pass|fail) (\d+)$", re.MULTILINE)
_TAP_FAILED = re.compile(r"^(?P<margin> *)not ok \d+ - (?P<name>.+)\n(?P<text>(?:(?P=margin)  .*\n|\n)*)", re.MULTILINE)
_SPEC_FAILED = re.compile(
    r"^(?P<place>test at \S+)\n✖ (?P<name>.+?) \([\d.]+ms\)\n(?P<text>(?: .*\n|\n)*)", re.MULTILINE
)
_FRAME = re.compile(r'File "(?P<path>[^"\n]+)", line (?P<line>\d+)(?:, in (?P<function>\S+))?')
_PLACE = re.compile(r"(?P<path>[\w./\\+-]*\w\.(?!\d)\w{1,5}):(?P<line>\d+)(?::\d+)?(?::? in (?P<function>\w+))?")
_NOT_OWN = re.compile(r"site-packages|/lib/python|<frozen|<string>")
_NOTHING_COLLECTED = re.compile(r"^(no tests ran|collected 0 items|Ran 0 tests|NO TESTS RAN)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """A line that the output names; ``path`` as printed, ``line`` from 1."""

    path: str
    line: int
    function: str = ""


@dataclass(frozen=True, slots=True)
class FailedTest:
    """One failing test: ``text`` is its part of the output, ``reason`` the line that says why; outer places first."""

    name: str
    reason: str
    text: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of the test command. Counts are None where the output does not tell them."""

    __test__ = False  # not a test case, whatever its name says to pytest

    command: str
    exit_code: int
    output: str
    seconds: float
    timed_out: bool = False
    passed: int | None = None
    failed: int | None = None
    failures: tuple[FailedTest, ...] = ()

    @property
    def green(self) -> bool:
        """Whether everything passed."""
        return self.exit_code == 0 and not self.timed_out

    @property
    def collected_nothing(self) -> bool:
        """Whether the command ran but found no test (exit code 5 is pytest's, and unittest's from 3.12 on)."""
        nothing = self.exit_code == 5 or bool(_NOTHING_COLLECTED.search(self.output))
        return nothing and not self.passed and not self.failed

    @property
    def summary(self) -> str:
        """A few words for people."""
        if self.timed_out:
            return "timed out"
        counts = [f"{n} {word}" for n, word in ((self.failed, "failed"), (self.passed, "passed")) if n]
        return ", ".join(counts) or ("passed" if self.green else f"exit code {self.exit_code}")


def read_test_run(command: str, exit_code: int, output: str, seconds: float, *, timed_out: bool = False) -> TestRun:
    """A TestRun from what the command printed (stdout and stderr together, without colours)."""
    if _UNITTEST_RAN.search(output) and not _PYTEST_CLOSING.search(output):
        passed, failed, failures = _read_unittest(output)
    elif len(_NODE_COUNT.findall(output)) == len(("pass", "fail")):
        passed, failed, failures = _read_node(output)
    else:
        passed, failed, failures = _read_pytest(output)
    if timed_out:
        failures = (_hanging(output, seconds),)
    elif not failures and exit_code != 0:
        failures = (_whole_output(output),)
    return TestRun(command, exit_code, output, seconds, timed_out, passed, failed, failures)


def _read_pytest(output: str) -> tuple[int | None, int | None, tuple[FailedTest, ...]]:
    passed = failed = None
    if closing := list(_PYTEST_CLOSING.finditer(output)):
        counts = {word.rstrip("s"): int(n) for n, word in _PYTEST_COUNT.findall(closing[-1][1])}
        passed, failed = counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)
    start = re.search(r"^=+ (FAILURES|ERRORS) =+$", output, re.MULTILINE)
    end = re.search(r"^=+ short test summary info =+$", output, re.MULTILINE)
    body = output[start.end() if start else len(output) : end.start() if end else len(output)]
    reasons = {name.rsplit("::", 1)[-1]: reason for name, reason in _PYTEST_SUMMARY.findall(output)}
    headings = list(_PYTEST_HEADING.finditer(body))
    failures: list[FailedTest] = []
    ends = [*(heading.start() for heading in headings[1:]), len(body)]
    for heading, section_end in zip(headings, ends, strict=False):
        text = body[heading.end() : section_end].strip("\n")
        text = re.sub(r"\n=+ (FAILURES|ERRORS) =+$", "", text)
        name = heading[1].rsplit(".", 1)[-1]
        failures.append(FailedTest(name, _reason(text) or reasons.get(name, ""), text, _places(text)))
    return passed, failed, tuple(failures)


def _read_unittest(output: str) -> tuple[int | None, int | None, tuple[FailedTest, ...]]:
    headings = list(_UNITTEST_HEADING.finditer(output))
    failures: list[FailedTest] = []
    ends = [*(heading.start() for heading in headings[1:]), len(output)]
    for heading, section_end in zip(headings, ends, strict=False):
        text = output[heading.end() : section_end]
        text = re.split(r"\n(?:={20,}|-{20,}\nRan )", text, maxsplit=1)[0].strip("\n")
        failures.append(FailedTest(heading[1], _reason(text), text, _places(text)))
    ran = _UNITTEST_RAN.search(output)
    counts = _UNITTEST_FAILED.search(output)
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", counts[1])) if counts else 0
    return (int(ran[1]) - bad if ran else None), bad, tuple(failures)


def _read_node(output: str) -> tuple[int | None, int | None, tuple[FailedTest, ...]]:
    """Both of its reporters: TAP, and the one for people. A suite that failed for its tests is none of them."""
    counts = {word: int(n) for word, n in _NODE_COUNT.findall(output)}
    found = [
        (match["name"].strip(), match.groupdict().get("place", "") + "\n" + match["text"])
        for pattern in (_TAP_FAILED, _SPEC_FAILED)
        for match in pattern.finditer(output + "\n")
    ]
    failures = [
        FailedTest(name, _node_reason(text), textwrap.dedent(text).strip("\n"), _places(text))
        for name, text in found
        if "subtestsFailed" not in text
    ]
    return counts["pass"], counts["fail"], tuple(failures)


def _node_reason(text: str) -> str:
    """``error:`` of TAP, on one line or the first of several; or the first line that names an error."""
    said = re.search(r"^ *error: (?:\|-\n *)?(\S.*)$", text, re.MULTILINE)
    return said[1].strip("'\" ") if said else _reason(re.sub(r"^ +", "", text, flags=re.MULTILINE))


def _whole_output(output: str) -> FailedTest:
    """For an output that no reader understands: its end, and every place it names."""
    tail = "\n".join(output.strip().splitlines()[-40:])
    return FailedTest("the test command", _reason(tail), tail, _places(output))


def _hanging(output: str, seconds: float) -> FailedTest:
    """For a run that did not end: the last stack that Python's faulthandler printed, turned to outermost first."""
    stack = output.rpartition("most recent call first")[2]
    frames = [line.strip() for line in stack.splitlines() if _FRAME.search(line)]
    own = [line for line in reversed(frames) if not _NOT_OWN.search(line)]
    reason = f"the tests did not end within {seconds:.0f} s"
    text = "\n".join([f"{reason[:1].upper()}{reason[1:]}: an endless loop. They hang here:", *own])
    return FailedTest("the test command", reason, text, _places(text))


def _reason(text: str) -> str:
    """The line that says why: pytest's first ``E`` line, or the last line of a traceback."""
    marked = re.search(r"^E\s+(\S.*)$", text, re.MULTILINE)
    if marked:
        return marked[1].strip()
    raised = re.findall(r"^([\w.]*(?:Error|Exception|Exit|Interrupt|Warning)\b.*)$", text, re.MULTILINE)
    return raised[-1].strip() if raised else ""


def _places(text: str) -> tuple[Place, ...]:
    found: dict[tuple[str, int], Place] = {}
    for match in sorted([*_FRAME.finditer(text), *_PLACE.finditer(text)], key=lambda match: match.start()):
        place = Place(match["path"], int(match["line"]), match["function"] or "")
        found.setdefault((place.path, place.line), place)
    return tuple(found.values())
