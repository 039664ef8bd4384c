"""The matrix of modes and effects, and the rules."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from agent.messages import ToolCall
from agent.permissions import Mode, Protected, Rules, Verdict, decide
from tools.base import Effect

CASES = Path(__file__).parents[2] / "../shared/data/command-safety-cases.json"
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


@pytest.mark.parametrize(
    "line",
    [
        "/usr/bin/git push",
        "git -C elsewhere push",
        "git --git-dir=x push",
        "env A=1 git push",
        "xargs git push",
        "time nice git push",
        "echo $(git push)",
        "true && git -c a=b push origin",
    ],
)
def test_a_forbidden_beginning_is_found_however_the_command_is_written(line: str) -> None:
    assert decide(Mode.YOLO, Effect.EXECUTE, command(line), Rules(deny=("git push",))).verdict is DENY


def test_what_the_rules_ask_about_is_a_question_in_every_mode_even_where_it_only_reads() -> None:
    rules = Rules(allow=("git log", "make"), ask=("git log", "tool:read secrets/*", "make"))
    assert decide(Mode.YOLO, Effect.EXECUTE, command("make"), rules).verdict is ASK
    for mode in Mode:
        assert decide(mode, Effect.EXECUTE, command("git log -1"), rules).verdict is ASK
        assert decide(mode, Effect.READ, ToolCall("1", "read", {"path": "Secrets/a"}), rules).verdict is ASK
        assert decide(mode, Effect.READ, ToolCall("1", "read", {"path": "a"}), rules).verdict is ALLOW


@pytest.mark.parametrize(
    ("rules", "path", "verdict"),
    [
        (Rules(allow=("tool:edit src/*",)), "src/deep/a.py", ALLOW),
        (Rules(allow=("tool:edit src/*",)), "lib/a.py", ASK),
        (Rules(allow=("tool:write",)), "src/a.py", ASK),
        (Rules(allow=("tool:*",)), "src/a.py", ALLOW),
        (Rules(allow=("tool:edit",), deny=("tool:edit docs/*",)), "docs/a.md", DENY),
        (Rules(allow=("tool:edit",), ask=("tool:edit docs/*",)), "DOCS/a.md", ASK),
        (Rules(allow=("edit",)), "src/a.py", ASK),
    ],
)
def test_rules_for_tools_and_paths(rules: Rules, path: str, verdict: Verdict) -> None:
    assert decide(Mode.DEFAULT, Effect.WRITE, write(path), rules).verdict is verdict


def test_no_rule_lets_plan_mode_write() -> None:
    rules = Rules(allow=("tool:*", "make", "touch", "python"), writes=True)
    assert decide(Mode.PLAN, Effect.WRITE, write("a.py"), rules).verdict is DENY
    for line in ("make", "touch x", "python -c 1", "ls > x", "git commit -m x", "sort -o x y", "sudo ls"):
        assert decide(Mode.PLAN, Effect.EXECUTE, command(line), rules).verdict is DENY


def test_a_rule_for_all_commands_covers_neither_dangerous_nor_catastrophic_ones() -> None:
    rules = Rules(allow=("tool:bash",))
    assert decide(Mode.DEFAULT, Effect.EXECUTE, command("make"), rules).verdict is ALLOW
    assert decide(Mode.DEFAULT, Effect.EXECUTE, command("make > x"), rules).verdict is ASK
    assert decide(Mode.DEFAULT, Effect.EXECUTE, command("rm -rf /"), rules).verdict is ASK


def test_looking_at_a_background_job_is_no_question() -> None:
    for mode in Mode:
        assert decide(mode, Effect.EXECUTE, ToolCall("1", "bash", {"job": "1"}), Rules()).verdict is ALLOW
    assert (
        decide(Mode.DEFAULT, Effect.EXECUTE, ToolCall("1", "bash", {"command": "make", "job": "1"}), Rules()).verdict
        is ASK
    )


@pytest.mark.skipif(not CASES.exists(), reason="needs the peers' cases in ../shared/data")
@pytest.mark.parametrize("mode", [Mode.DEFAULT, Mode.ACCEPT_EDITS, Mode.PLAN])
def test_nothing_that_the_peers_refuse_runs_unasked(mode: Mode) -> None:
    cases = json.loads(CASES.read_text())
    codex = [shlex.join(case["argv"]) for case in cases["codex"] if not case["expect"]]
    gemini = [case["command"] for case in cases["gemini"] if "SHOULD NOT" in case["title"]]
    assert (len(codex), len(gemini)) == (62, 14)
    unasked = [line for line in codex if decide(mode, Effect.EXECUTE, command(line), Rules()).verdict is ALLOW]
    # The other peer's cases have a rule that allows `git log`.
    rules = Rules(allow=("git log",))
    unasked += [line for line in gemini if decide(mode, Effect.EXECUTE, command(line), rules).verdict is ALLOW]
    assert unasked == []
