"""A commit message is proposed where there is none, and otherwise left as it is."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from agent.errors import ModelError
from agent.model import Model
from agent.review.message import Desk, check_message, propose_message, subject, written
from tests.fakes.scripted_model import Scripted, ScriptedModel

TEMPLATE = "\n# Please enter the commit message for your changes.\n# On branch main\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
    (root / "a.py").write_text("x = 1\n")
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    return root


def propose(root: Path, text: str, model: Model | Exception, seconds: float = 5.0) -> tuple[str | None, str]:
    """The note, and the message file afterwards."""
    path = root / "COMMIT_EDITMSG"
    path.write_text(text)

    async def open_model() -> Model:
        if isinstance(model, Exception):
            raise model
        return model

    note = asyncio.run(propose_message(path, Desk(root, {}, open_model, seconds)))
    return note, path.read_text()


def test_the_models_line_stands_above_what_git_wrote(repository: Path) -> None:
    model = ScriptedModel([Scripted('"Add a first value."\n')])
    assert propose(repository, TEMPLATE, model) == (None, f"Add a first value\n{TEMPLATE}")
    asked = model.conversations[0].entries[1].text
    assert "added: a.py" in asked
    assert "+x = 1" in asked
    assert model.closed


@pytest.mark.parametrize("text", ["Mine\n", f"Mine{TEMPLATE}", "\n\nMine\n# comment\n"])
def test_a_message_of_the_users_is_left_alone_and_no_model_asked(repository: Path, text: str) -> None:
    assert propose(repository, text, ScriptedModel([])) == (None, text)


def test_a_diff_below_the_scissors_is_no_message(repository: Path) -> None:
    text = f"{TEMPLATE}# ------------------------ >8 ------------------------\n# Do not touch\ndiff --git a/a.py\n+x\n"
    assert propose(repository, text, ScriptedModel([Scripted("Add a value")]))[1] == f"Add a value\n{text}"


def test_another_comment_sign_is_honoured(repository: Path) -> None:
    subprocess.run(["git", "config", "core.commentChar", ";"], cwd=repository, check=True)
    assert propose(repository, "\n; a comment\n", ScriptedModel([Scripted("Add a value")]))[1].startswith(
        "Add a value\n"
    )
    assert propose(repository, "# 7 things\n", ScriptedModel([]))[1] == "# 7 things\n"


def test_a_model_that_is_not_here_or_says_nothing_leaves_the_file(repository: Path) -> None:
    note, text = propose(repository, TEMPLATE, ModelError("no model is on this machine."))
    assert (note, text) == ("no message is proposed: no model is on this machine.", TEMPLATE)
    note, text = propose(repository, TEMPLATE, ScriptedModel([Scripted("\n")]))
    assert (note, text) == ("no message is proposed: the model wrote none.", TEMPLATE)


def test_a_model_that_is_too_slow_leaves_the_file(repository: Path) -> None:
    model = ScriptedModel([Scripted("Late", gate=asyncio.Event())])
    note, text = propose(repository, TEMPLATE, model, seconds=0.05)
    assert note is not None
    assert "within 0.05 seconds" in note
    assert text == TEMPLATE
    assert model.closed


def test_an_empty_change_needs_no_message_of_ours(repository: Path) -> None:
    subprocess.run(["git", "rm", "-q", "--cached", "a.py"], cwd=repository, check=True)
    assert propose(repository, TEMPLATE, ScriptedModel([])) == (None, TEMPLATE)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("Add x", "Add x"),
        ("```\nFix: the sum.\n```", "Fix: the sum"),
        ("Subject: Add x\n\nBody", "Add x"),
        ("Add " + "very " * 30 + "much", "Add " + " ".join(["very"] * 13)),
        ("# only a heading", ""),
    ],
)
def test_a_subject_is_one_clean_line(answer: str, line: str) -> None:
    assert subject(answer) == line


def test_comments_are_not_part_of_the_message() -> None:
    assert written("a\n# b\n", "#") == "a\n"
    assert written("# a\n\n# b\n", "#") == ""


def test_a_secret_in_a_comment_of_the_file_is_no_finding(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.write_text("Fine\n# AKIA" + "IOSFODNN7EXAMPLE\n")
    assert check_message(path) == []
