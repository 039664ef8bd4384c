"""The matrix of modes and effects, and the rules."""

from __future__ import annotations

import pytest

from agent.messages import ToolCall
from agent.permissions import Mode, Protected, Rules, Verdict, decide
from tools.base import Effect

ALLOW, ASK, DENY = Verdict.ALLOW, Verdict.ASK, Verdict.DENY


def command(line: str) -> ToolCall:
    return ToolCall("1", "bash", {"command": line})


def write(path: str) -> ToolCall:
    return ToolCall("1", "edit", {"path": path})


@pytest.mark.parametrize(
    ("mode", "reads", "writes", "read_only", "unknown", "dangerous", "catastrophic"),
    [
        (Mode.DEFAULT, ALLOW, ASK, ALLOW, ASK, ASK, ASK),
        (Mode.ACCEPT_EDITS, ALLOW, ALLOW, ALLOW, ASK, ASK, ASK),
        (Mode.PLAN, ALLOW, DENY, ALLOW, DENY, DENY, DENY),
        (Mode.YOLO, ALLOW, ALLOW, ALLOW, ALLOW, ALLOW, ASK),
    ],
)
def test_the_matrix(
    mode: Mode,
    reads: Verdict,
    writes: Verdict,
    read_only: Verdict,
    unknown: Verdict,
    dangerous: Verdict,
    catastrophic: Verdict,
) -> None:
    rules = Rules()
    assert decide(mode, Effect.NONE, ToolCall("1", "todo", {}), rules).verdict is ALLOW
    assert decide(mode, Effect.READ, write("a.py"), rules).verdict is reads
    assert decide(mode, Effect.WRITE, write("a.py"), rules).verdict is writes
    assert decide(mode, Effect.EXECUTE, command("git status"), rules).verdict is read_only
    assert decide(mode, Effect.EXECUTE, command("make"), rules).verdict is unknown
    assert decide(mode, Effect.EXECUTE, command("make > log"), rules).verdict is dangerous
    assert decide(mode, Effect.EXECUTE, command("sudo make"), rules).verdict is catastrophic


@pytest.mark.parametrize("mode", Mode)
def test_whatever_is_not_allowed_has_a_reason(mode: Mode) -> None:
    for line in ("make", "make > log", "sudo make", ""):
        ruling = decide(mode, Effect.EXECUTE, command(line), Rules())
        assert ruling.verdict is ALLOW or ruling.reason


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("pytest", ALLOW),
        ("pytest -q tests", ALLOW),
        ("cd src && pytest | tail -3", ALLOW),
        ("pytest && git status", ALLOW),
        ("npm test", ALLOW),
        ("make all", ALLOW),
        ("make", ASK),
        ("make all more", ASK),
        ("pytestx", ASK),
        ("npm install", ASK),
        ("pytest; npm install", ASK),
        ("pytest > log", ASK),
        ("X=1 pytest", ASK),
        ("sudo pytest", ASK),
        ("(ls)", ASK),
    ],
)
def test_an_allowed_beginning_covers_whole_words_and_nothing_else_in_the_line(line: str, verdict: Verdict) -> None:
    rules = Rules(allow=("pytest", "npm test", "=make all"))
    assert decide(Mode.DEFAULT, Effect.EXECUTE, command(line), rules).verdict is verdict


@pytest.mark.parametrize("line", ["git push", "ls && git push origin", "sh -c 'git push'", "timeout 5 git push"])
def test_a_forbidden_beginning_holds_in_every_mode_and_in_every_part_of_the_line(line: str) -> None:
    rules = Rules(allow=("git",), deny=("git push",))
    for mode in Mode:
        assert decide(mode, Effect.EXECUTE, command(line), rules).verdict is DENY


def test_settled_writes_run_but_not_in_plan_mode() -> None:
    rules = Rules(writes=True)
    assert decide(Mode.DEFAULT, Effect.WRITE, write("a.py"), rules).verdict is ALLOW
    assert decide(Mode.PLAN, Effect.WRITE, write("a.py"), rules).verdict is DENY


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("tests/test_a.py", DENY),
        ("tests/deep/er.py", DENY),
        ("Tests/test_a.py", DENY),
        ("a/../tests/x.py", DENY),
        ("src/test_b.py", DENY),
        ("src/b.py", ALLOW),
        ("latests/x.py", ALLOW),
    ],
)
def test_protected_files_may_be_read_and_not_written(path: str, verdict: Verdict) -> None:
    rules = Rules().protecting(Protected("tests", "the judge"), Protected("*/test_*.py", "the judge"))
    assert decide(Mode.YOLO, Effect.WRITE, write(path), rules).verdict is verdict
    assert decide(Mode.YOLO, Effect.READ, write(path), rules).verdict is ALLOW


def test_a_question_carries_the_rule_that_a_lasting_yes_would_add() -> None:
    ruling = decide(Mode.DEFAULT, Effect.EXECUTE, command("pytest -q"), Rules())
    assert ruling.remember == "pytest"
    after = decide(Mode.DEFAULT, Effect.EXECUTE, command("pytest -x"), Rules().allowing(ruling.remember))
    assert after.verdict is ALLOW
