"""``agent fix`` on real files and real test commands, with a scripted model."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.demo_files import FILES
from agent.errors import TestCommandError
from agent.events import AgentEvent, AttemptStarted, FileChanged, Notice, TestsFinished
from agent.evidence import Sources
from agent.failures import TestRun
from agent.fix import FixJob, FixOptions, FixOutcome, OpenedSession
from agent.permissions import Mode, Protected, Rules
from agent.test_command import TestCommand
from agent.test_paths import TEST_PATTERNS, is_test_path
from tests.fakes.scripted_model import Call, Script, Scripted, ScriptedConversation, ScriptedModel
from tests.fakes.sessions import Stage
from tools.bash import BashTool
from tools.edit import EditTool
from tools.read import ReadTool
from tools.write import WriteTool

COMMAND = f"{sys.executable} -m unittest"
GOOD = (
    "The comparison leaves out ten.\n```python\n"
    + FILES["orders/pricing.py"].split("def shipping")[0].replace("> BULK_QUANTITY", ">= BULK_QUANTITY")
    + "```\n"
)
WORSE = "```python\ndef line_total(line):\n    return -7\n```"
HALF = '```python\ndef line_total(line):\n    return 1800 if line.name == "pen" else 10000\n```'


def tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {"__pycache__", ".pytest_cache"} & set(path.parts)
    }


class Repair:
    """A repository and everything that came of a fix on it."""

    def __init__(self, root: Path, files: dict[str, str] = FILES) -> None:
        self.root = root
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.before = tree(root)
        self.events: list[AgentEvent] = []
        self.model = ScriptedModel([])
        self.favourite = ""  # what the model would rather read; nothing else is worth a try

    def run(self, script: Sequence[Script], options: FixOptions | None = None, *, direct: bool = True) -> FixOutcome:
        options = options or FixOptions(COMMAND, attempts=len(script))
        self.model = ScriptedModel(script)
        return asyncio.run(self.job(options, direct).run())

    def job(
        self, options: FixOptions, direct: bool = True, timeout: float = 60, lasting: float | None = None
    ) -> FixJob:
        """``lasting`` is what a run of the tests is said to take, in seconds."""
        command = TestCommand(options.command, self.root, dict(os.environ), timeout)

        async def run_tests(limit: float | None) -> TestRun:
            run = await command.run(limit)
            return run if lasting is None else replace(run, seconds=lasting)

        rules = Rules().protecting(*(Protected(pattern, "tests stay as they are") for pattern in TEST_PATTERNS))
        stage = Stage(self.root, [ReadTool(), EditTool(), WriteTool(), BashTool()], Mode.YOLO, rules)

        async def open_session(enough: bool) -> OpenedSession:
            session = stage.session(self.model)
            return OpenedSession(session, direct and enough, lambda text: len(text) // 4, self.prefer)

        return FixJob(
            options,
            lambda: Sources(self.root, is_test_path),
            run_tests,
            open_session,
            self.events.append,
        )

    async def prefer(self, _prefix: str, _base: str, variants: Sequence[str]) -> list[float]:
        return [5.0 if self.favourite and self.favourite in each else float("-inf") for each in variants]

    def of(self, kind: type[AgentEvent]) -> list[AgentEvent]:
        return [event for event in self.events if isinstance(event, kind)]


def test_the_first_answer_repairs_and_the_tests_say_so(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    outcome = repair.run([Scripted(GOOD)])
    assert (outcome.green, outcome.applied, outcome.attempts) == (True, True, 1)
    assert "line.quantity >= BULK_QUANTITY" in (tmp_path / "orders/pricing.py").read_text()
    changed = {path for path, content in tree(tmp_path).items() if repair.before.get(path) != content}
    assert changed == {"orders/pricing.py"}
    assert [run.green for run in repair.of(TestsFinished) if isinstance(run, TestsFinished)] == [False, True]
    assert len(repair.of(FileChanged)) == 1


def test_a_small_change_that_the_model_likes_is_tried_when_its_answers_did_not_help(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    repair.favourite = "line.quantity >= BULK_QUANTITY"
    outcome = repair.run([Scripted(WORSE), Scripted("I do not know.")], FixOptions(COMMAND, attempts=3))
    assert (outcome.green, outcome.attempts) == (True, 3)
    assert "if line.quantity >= BULK_QUANTITY:" in (tmp_path / "orders/pricing.py").read_text()


def test_a_name_that_the_failure_calls_wrong_is_replaced_before_the_model_writes_anything(tmp_path: Path) -> None:
    wrong = FILES["orders/pricing.py"].replace("> BULK_Q", ">= BULK_Q").replace("line.quantity >=", "line.quantty >=")
    repair = Repair(tmp_path, FILES | {"orders/pricing.py": wrong})
    repair.favourite = "line.quantity >= BULK_QUANTITY"
    outcome = repair.run([], FixOptions(COMMAND, attempts=1))
    assert (outcome.green, outcome.attempts, outcome.usage.decoded_tokens) == (True, 1, 0)


def test_small_changes_that_help_nothing_leave_the_word_to_the_model(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    repair.favourite = "line.quantity < BULK_QUANTITY"
    script = [Scripted("No."), Scripted("No."), Scripted(GOOD)]
    outcome = repair.run(script, FixOptions(COMMAND, attempts=4))
    assert (outcome.green, outcome.attempts) == (True, 4)
    assert "line.quantity <" not in (tmp_path / "orders/pricing.py").read_text()


def test_the_prompt_holds_the_failing_test_the_reason_and_the_suspected_code(tmp_path: Path) -> None:
    asked: list[str] = []

    def script(conversation: object) -> Scripted:
        asked.append(str(conversation.entries[-1].text))  # type: ignore[attr-defined]
        return Scripted(GOOD)

    Repair(tmp_path).run([script], FixOptions(COMMAND, "Ten pens are too dear.", attempts=1))
    assert "Ten pens are too dear." in asked[0]
    assert "test_ten_pieces_get_the_bulk_discount" in asked[0]
    assert "2000 != 1800" in asked[0]
    assert "if line.quantity > BULK_QUANTITY" in asked[0]


def test_the_suspects_present_text_is_there_to_be_copied_from(tmp_path: Path) -> None:
    references: list[str] = []

    def script(conversation: object) -> Scripted:
        references.extend(conversation.asked[-1].references)  # type: ignore[attr-defined]
        return Scripted(GOOD)

    Repair(tmp_path).run([script])
    assert len(references) == 1
    assert "if line.quantity > BULK_QUANTITY" in references[0]


def test_attempts_go_on_until_one_is_green_and_each_starts_from_the_same_files(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    outcome = repair.run([Scripted(WORSE), Scripted("I do not know."), Scripted(GOOD)])
    assert (outcome.green, outcome.attempts) == (True, 3)
    assert len(repair.of(AttemptStarted)) == 3
    assert "return -7" not in (tmp_path / "orders/pricing.py").read_text()


TWO = {
    "stats.py": (
        "def total(values):\n    result = 0\n    for value in values:\n        result -= value\n    return result\n"
        "\n\ndef longest(words):\n    return min(words, key=len)\n"
    ),
    "test_stats.py": (
        "import unittest\n\nfrom stats import longest, total\n\n\nclass StatsTest(unittest.TestCase):\n"
        "    def test_total(self):\n        self.assertEqual(total([1, 2]), 3)\n\n"
        '    def test_longest(self):\n        self.assertEqual(longest(["a", "bb"]), "bb")\n'
    ),
}


def test_two_mistakes_are_mended_one_after_the_other(tmp_path: Path) -> None:
    repair = Repair(tmp_path, TWO)
    total = "```python\ndef total(values):\n    return sum(values)\n```"
    longest = "```python\ndef longest(words):\n    return max(words, key=len)\n```"
    outcome = repair.run([Scripted(longest), Scripted("I do not know."), Scripted(total)])
    assert (outcome.green, outcome.applied, outcome.attempts) == (True, True, 3)
    assert [run.failed for run in repair.of(TestsFinished) if isinstance(run, TestsFinished)] == [2, 1, 0]
    assert [change.path for change in outcome.changes] == ["stats.py"]
    text = (tmp_path / "stats.py").read_text()
    assert "max(words" in text
    assert "sum(values)" in text


def test_what_helped_a_part_of_the_tests_is_left_again_when_it_leads_nowhere(tmp_path: Path) -> None:
    repair = Repair(tmp_path, TWO)
    trap = "```python\ndef longest(words):\n    return 'bb'\n```"
    whole = TWO["stats.py"].replace("-=", "+=").replace("min(", "max(")
    outcome = repair.run([Scripted(trap), *[Scripted("No idea.")] * 24, Scripted(f"```python\n{whole}```")])
    assert (outcome.green, outcome.attempts) == (True, 26)
    assert "'bb'" not in (tmp_path / "stats.py").read_text()


def test_files_are_as_before_when_nothing_helped(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    outcome = repair.run([Scripted(WORSE), Scripted(WORSE)])
    assert (outcome.green, outcome.applied, outcome.changes) == (False, False, ())
    assert tree(tmp_path) == repair.before


def test_the_best_attempt_is_kept_when_none_is_green(tmp_path: Path) -> None:
    files = FILES | {"tests/test_never.py": FILES["tests/test_money.py"].replace('"0.05")), "0.05"', '"0.05")), "5"')}
    repair = Repair(tmp_path, files)
    outcome = repair.run([Scripted(GOOD), Scripted(WORSE)])
    assert not outcome.green
    assert outcome.applied
    assert outcome.best.failed == 1
    assert ">= BULK_QUANTITY" in (tmp_path / "orders/pricing.py").read_text()


def test_a_budget_of_tokens_ends_the_work(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    outcome = repair.run([Scripted(WORSE), Scripted(GOOD)], FixOptions(COMMAND, tokens=1))
    assert (outcome.green, outcome.attempts) == (False, 1)


def test_keep_leaves_a_failed_attempt_in_place(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    outcome = repair.run([Scripted(WORSE)], FixOptions(COMMAND, attempts=1, keep=True))
    assert not outcome.green
    assert "return -7" in (tmp_path / "orders/pricing.py").read_text()


def test_a_dry_run_shows_the_change_and_leaves_the_files(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    outcome = repair.run([Scripted(GOOD)], FixOptions(COMMAND, attempts=1, dry_run=True))
    assert (outcome.green, outcome.applied) == (True, False)
    assert [change.path for change in outcome.changes] == ["orders/pricing.py"]
    assert tree(tmp_path) == repair.before


def test_the_same_answer_is_not_tested_twice(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    repair.run([Scripted(WORSE), Scripted(WORSE), Scripted(WORSE)])
    assert len(repair.of(TestsFinished)) == 2


def test_green_tests_need_no_model(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    outcome = repair.run([], FixOptions(f"{sys.executable} -m unittest tests.test_money"))
    assert (outcome.green, outcome.attempts, outcome.applied) == (True, 0, False)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program-here -q", "cannot run"),
        (f"{sys.executable} -m unittest discover -s orders", "found no tests"),
        (f"{sys.executable} -m pytest -q -k nothing_like_this", "found no tests"),
        ("sleep 5", "did not end"),
    ],
)
def test_a_command_that_cannot_judge_is_refused_in_a_sentence(tmp_path: Path, command: str, words: str) -> None:
    repair = Repair(tmp_path)
    job = repair.job(FixOptions(command), timeout=0.3 if command.startswith("sleep") else 60)
    with pytest.raises(TestCommandError, match=words):
        asyncio.run(job.run())
    assert tree(tmp_path) == repair.before


def test_tests_that_hang_point_at_the_loop_and_are_repaired(tmp_path: Path) -> None:
    files = {
        "loop.py": "def count(n):\n    i = 0\n    while i < n:\n        i += 0\n    return i\n",
        "tests/test_loop.py": "from loop import count\n\n\ndef test_count():\n    assert count(3) == 3\n",
        "conftest.py": "",
    }
    repair = Repair(tmp_path, files)
    good = f"```python\n{files['loop.py'].replace('i += 0', 'i += 1')}```"
    options = FixOptions(f"{sys.executable} -m pytest -q -p no:cacheprovider", seconds=50, attempts=1)
    outcome = repair.run([Scripted(good)], options)
    assert outcome.first.timed_out
    assert outcome.green


def test_a_cancelled_fix_puts_the_files_back(tmp_path: Path) -> None:
    repair = Repair(tmp_path)

    async def cancelled() -> None:
        asked = asyncio.Event()

        def never_answering(conversation: object) -> Scripted:
            asked.set()
            return Scripted(GOOD, gate=asyncio.Event())

        repair.model = ScriptedModel([Scripted(WORSE), never_answering])
        task = asyncio.create_task(repair.job(FixOptions(COMMAND)).run())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert tree(tmp_path) == repair.before


def with_tools(edit: Callable[[], tuple[Call, ...]]) -> list[Script]:
    return [Scripted(calls=edit()), Scripted("Done.")]


def test_a_model_with_tools_repairs_through_the_ordinary_loop(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    read = Call("read", {"path": "orders/pricing.py"})
    piece = {"find": "line.quantity > BULK", "replace": "line.quantity >= BULK"}
    edit = Call("edit", {"path": "orders/pricing.py", "replacements": [piece]})
    script = [Scripted(calls=(read,)), Scripted(calls=(edit,)), Scripted("The bound was wrong.")]
    outcome = repair.run(script, FixOptions(COMMAND, attempts=1), direct=False)
    assert (outcome.green, outcome.attempts) == (True, 1)


def test_the_first_answer_of_a_model_with_tools_can_only_quote_the_files_that_it_is_shown(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    script = [Scripted(calls=(Call("edit", ENOUGH),)), Scripted("The bound was wrong.")]
    repair.run(script, FixOptions(COMMAND, attempts=1), direct=False)
    first, second = (each.quotable for each in repair.model.conversations[0].asked)
    assert first
    assert second is None, "by then other files may have been read, and this one has changed"
    assert ("orders/pricing.py", FILES["orders/pricing.py"]) in first.files
    assert all(FILES[path] == text and not is_test_path(path) for path, text in first.files)


def test_a_model_whose_edit_was_refused_can_still_only_quote_the_files_that_it_is_shown(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    same = {"find": "line.quantity > BULK", "replace": "line.quantity > BULK"}
    refused = Call("edit", {"path": "orders/pricing.py", "replacements": [same]})
    command = Call("bash", {"command": "exit 3"})
    script = [Scripted(calls=(refused,)), Scripted(calls=(command,)), Scripted(calls=(Call("edit", ENOUGH),))]
    repair.run([*script, Scripted("The bound was wrong.")], FixOptions(COMMAND, attempts=1), direct=False)
    held = [bool(each.quotable) for each in repair.model.conversations[0].asked]
    assert held == [True, True, False, False], "a command that failed may have changed files all the same"


def test_a_model_whose_edits_are_refused_again_and_again_starts_afresh(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    broken = [
        {"find": "line.quantity > BULK", "replace": f"line.quantity > {'(' * count}BULK"} for count in (1, 2, 3, 4)
    ]
    refused = [Scripted(calls=(Call("edit", {"path": ENOUGH["path"], "replacements": [each]}),)) for each in broken]
    good = [Scripted(calls=(Call("edit", ENOUGH),)), Scripted("The bound was wrong.")]
    outcome = repair.run([*refused, *good], FixOptions(COMMAND, attempts=2), direct=False)
    assert (outcome.green, outcome.attempts) == (True, 2)


def test_a_model_that_is_told_what_still_fails_can_only_quote_the_files_as_they_are_now(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    less = {"find": "line.quantity > BULK", "replace": "line.quantity < BULK"}
    wrong = Call("edit", {"path": "orders/pricing.py", "replacements": [less]})
    read = Call("read", {"path": "orders/pricing.py"})
    script = [
        Scripted(calls=(wrong,)),
        Scripted("Done."),
        Scripted(calls=(read,)),
        Scripted("Done."),
        Scripted("Done."),
    ]
    repair.run(script, FixOptions(COMMAND, attempts=3), direct=False)
    afresh, _, told, _, again = (each.quotable for each in repair.model.conversations[0].asked)
    assert afresh
    assert told
    assert "line.quantity > BULK" in dict(afresh.files)["orders/pricing.py"]
    assert "line.quantity < BULK" in dict(told.files)["orders/pricing.py"]
    assert again is None, "it has used another tool, and may have read other files"


def test_files_that_were_tested_before_are_not_tested_again(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    less = {"find": "line.quantity > BULK", "replace": "line.quantity < BULK"}
    wrong = {"path": "orders/pricing.py", "replacements": [less]}
    same = [Scripted(calls=(Call("edit", wrong),)), Scripted("Done.")]
    unsure = Scripted("I do not know.")
    script = [*same, unsure, unsure, unsure, unsure, *same]
    outcome = repair.run(script, FixOptions(COMMAND, attempts=6), direct=False)
    assert (outcome.green, outcome.attempts) == (False, 6)
    assert len(repair.of(TestsFinished)) == 2
    assert any("tried before" in each.text for each in repair.of(Notice) if isinstance(each, Notice))
    assert tree(tmp_path) == repair.before


def test_a_model_that_does_the_same_again_is_asked_at_a_higher_temperature_until_it_does_something_else(
    tmp_path: Path,
) -> None:
    repair = Repair(tmp_path)

    def change(sign: str) -> list[Script]:
        piece = {"find": "line.quantity > BULK", "replace": f"line.quantity {sign} BULK"}
        call = Call("edit", {"path": "orders/pricing.py", "replacements": [piece]})
        return [Scripted(calls=(call,)), Scripted("Done.")]

    unsure = Scripted("I do not know.")
    places = [unsure] * 2
    script = [*change("<"), unsure, unsure, *places, *change("<"), *places, *change("<"), unsure]
    script += [*places, *change("!="), *places, *change("==")]
    repair.run(script, FixOptions(COMMAND, attempts=16), direct=False)
    held = [each for each in repair.model.conversations[0].asked if each.quotable]
    free = [each.warmer for each in held if each.quotable and not each.quotable.parts]
    assert free == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.2, 0.1])


def test_a_quick_model_with_tools_is_held_to_one_suspected_place_after_the_other(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    unsure = Scripted("I do not know.")
    repair.run([unsure] * 20, FixOptions(COMMAND, attempts=17), direct=False)
    held = [each.quotable for each in repair.model.conversations[0].asked if each.quotable]
    parts = [each.parts for each in held]
    assert [bool(each) for each in parts] == [False] * 3 + (([True] * 2 + [False]) * 2 + [False]) * 2
    quoted = [part for some in parts for part in some]
    assert all(piece.strip() and piece in FILES[path].split("\n") for path, piece in quoted)
    assert len(set(quoted)) > 4
    assert any("line.quantity > BULK" in piece for _, piece in quoted)
    # The likeliest change of a place comes first.
    drawn = [each for each in repair.model.conversations[0].asked if each.quotable and each.quotable.parts]
    assert [each.temperature for each in drawn] == [
        None if piece in quoted[:at] else 0.0 for at, piece in enumerate(quoted)
    ]
    visits = [quoted[:at].count(piece) for at, piece in enumerate(quoted)]
    assert [each.warmer for each in drawn] == pytest.approx([0.1 * max(0, count - 1) for count in visits])


def test_a_place_is_asked_about_until_its_change_is_new(tmp_path: Path) -> None:
    repair = Repair(tmp_path)

    def change(sign: str) -> Scripted:
        piece = {"find": "line.quantity > BULK", "replace": f"line.quantity {sign} BULK"}
        return Scripted(calls=(Call("edit", {"path": "orders/pricing.py", "replacements": [piece]}),))

    unsure = Scripted("I do not know.")
    script = [change("<"), Scripted("Done."), unsure, unsure, change("<"), change(">"), change(">=")]
    repair.model = ScriptedModel(script)
    outcome = asyncio.run(repair.job(FixOptions(COMMAND, attempts=4), direct=False, lasting=60.0).run())
    assert (outcome.green, outcome.attempts) == (True, 4)
    assert len(repair.of(TestsFinished)) == 3, "what was tried, and what changes nothing, is not tested"
    asked = [each for each in repair.model.conversations[0].asked if each.quotable and each.quotable.parts]
    assert [each.temperature for each in asked] == [0.0, None, None]
    assert len({each.seed for each in asked}) == 3


def test_what_is_quoted_at_a_place_is_changed_there_though_it_stands_elsewhere_too(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    unsure = Scripted("I do not know.")
    done: list[str] = []

    def at_place(conversation: ScriptedConversation) -> Scripted:
        held = conversation.asked[-1].quotable
        ((path, piece),) = held.parts if held and held.parts else (("", ""),)
        if "line.quantity > BULK" not in piece:
            return unsure
        done.append(path)
        return Scripted(calls=(Call("edit", {"path": path, "find": " > ", "replace": " >= "}),))

    outcome = repair.run([*[unsure] * 3, *[at_place] * 30], FixOptions(COMMAND, attempts=12), direct=False)
    assert done
    assert outcome.green


ENOUGH = {
    "path": "orders/pricing.py",
    "replacements": [{"find": "line.quantity > BULK", "replace": "line.quantity >= BULK"}],
}


def test_what_the_first_prompt_shows_can_be_edited_at_once(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    script = [Scripted(calls=(Call("edit", ENOUGH),)), Scripted("The bound was wrong.")]
    outcome = repair.run(script, FixOptions(COMMAND, attempts=1), direct=False)
    assert (outcome.green, outcome.attempts) == (True, 1)


def test_what_changed_since_it_was_shown_has_to_be_read_before_it_is_edited(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    told: list[str] = []

    def after_somebody_else(_: object) -> Scripted:
        with (tmp_path / "orders/pricing.py").open("a") as file:
            file.write("# added by somebody else\n")
        return Scripted(calls=(Call("edit", ENOUGH),))

    def give_up(conversation: ScriptedConversation) -> Scripted:
        told.append(conversation.entries[-1].text)
        return Scripted("It changed.")

    outcome = repair.run([after_somebody_else, give_up], FixOptions(COMMAND, attempts=1), direct=False)
    assert not outcome.green
    assert "changed since you read it" in told[0]
    assert "added by somebody else" in (tmp_path / "orders/pricing.py").read_text()


def test_what_the_first_prompt_does_not_show_has_to_be_read(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    told: list[str] = []

    def give_up(conversation: ScriptedConversation) -> Scripted:
        told.append(conversation.entries[-1].text)
        return Scripted("It was not read.")

    edit = Call("edit", {"path": "orders/__init__.py", "replacements": [{"find": "a", "replace": "b"}]})
    repair.run([Scripted(calls=(edit,)), give_up], FixOptions(COMMAND, attempts=1), direct=False)
    assert "was not read yet" in told[0]


def test_tests_are_neither_edited_by_tools_nor_by_commands(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    path = "tests/test_pricing.py"
    read = Call("read", {"path": path})
    bent = {"find": "1800)\n\n    def test_ten", "replace": "0)\n\n    def test_ten"}
    edit = Call("edit", {"path": path, "replacements": [bent]})
    command = Call("bash", {"command": "rm tests/test_receipt.py; printf '' > tests/test_pricing.py"})
    script = [Scripted(calls=(read,)), Scripted(calls=(edit,)), Scripted(calls=(command,)), Scripted("Done.")]
    outcome = repair.run(script, FixOptions(COMMAND, attempts=1), direct=False)
    assert not outcome.green
    assert tree(tmp_path) == repair.before


def test_a_broken_syntax_never_reaches_the_files(tmp_path: Path) -> None:
    repair = Repair(tmp_path)
    broken = "```python\ndef line_total(line):\n    return (line.unit_price * line.quantity\n```"
    outcome = repair.run([Scripted(broken), Scripted(GOOD)])
    assert outcome.green
    assert len(repair.of(TestsFinished)) == 2


def test_the_demo_repository_is_in_git_and_red(tmp_path: Path) -> None:
    from agent.demo import demo_test_command, make_repository

    make_repository(tmp_path)
    log = subprocess.run(["git", "log", "--oneline"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(log.stdout.splitlines()) == 1
    assert subprocess.run(demo_test_command(), cwd=tmp_path, shell=True, capture_output=True, check=False).returncode


def test_the_first_prompt_is_small_and_later_ones_show_more_suspects(tmp_path: Path) -> None:
    asked: list[str] = []

    def wrong(conversation: object) -> Scripted:
        asked.append(str(conversation.entries[-1].text))  # type: ignore[attr-defined]
        return Scripted("I do not know.")

    Repair(tmp_path).run([wrong] * 12)
    assert "orders/money.py:" not in asked[0]
    assert "orders/money.py:" in asked[-1]


def broken(old: str, new: str) -> dict[str, str]:
    """The repository without its mistake, and with this one instead."""
    code = FILES["orders/pricing.py"].replace("> BULK_QUANTITY", ">= BULK_QUANTITY")
    assert code.count(old) == 1
    return {**FILES, "orders/pricing.py": code.replace(old, new)}


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("line_total(line: Line) -> int:", "line_total(line: Line) -> int"),
        ("line.unit_price * line.quantity\n", "(line.unit_price * line.quantity\n"),
        ("from dataclasses import dataclass\n", ""),
    ],
)
def test_what_the_failure_names_is_repaired_without_asking_the_model(
    tmp_path: Path, old: str, new: str, direct: bool
) -> None:
    repair = Repair(tmp_path, broken(old, new))
    outcome = repair.run([], FixOptions(COMMAND, attempts=3), direct=direct)
    assert outcome.green
    assert [change.path for change in outcome.changes] == ["orders/pricing.py"]


def test_where_it_is_not_wanted_the_model_is_asked_at_once(tmp_path: Path) -> None:
    repair = Repair(tmp_path, broken("line_total(line: Line) -> int:", "line_total(line: Line) -> int"))
    assert not repair.run([Scripted(text="No idea.")], FixOptions(COMMAND, attempts=1, stated=False)).green
    assert repair.model.responses_left == 0


@pytest.mark.parametrize(("seconds", "named"), [(1.0, 3), (20.0, 2)])
def test_slow_tests_are_not_run_for_all_that_a_failure_may_name(tmp_path: Path, seconds: float, named: int) -> None:
    # Three modules have a `copy` to import, and none takes this argument.
    repair = Repair(tmp_path, broken("total = line.unit_price", "total = copy(line, many=1).unit_price"))
    repair.model = ScriptedModel([Scripted("No idea.")] * (3 - named))
    job = repair.job(FixOptions(COMMAND, attempts=3), lasting=seconds)
    assert not asyncio.run(job.run()).green
    tried = [event.strategy for event in repair.events if isinstance(event, AttemptStarted)]
    assert sum("import copy" in each for each in tried) == named
    assert repair.model.responses_left == 0
