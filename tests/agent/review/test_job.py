"""A review from changed files to findings, with a scorer that prefers what it is told to prefer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.errors import UsageError
from agent.model import TokenScore
from agent.review.accepted import Baseline, not_accepted, read_baseline, write_baseline
from agent.review.cache import JudgementCache
from agent.review.changes import Change
from agent.review.findings import Finding, Priority, fingerprints
from agent.review.formats import Report, as_github, as_json, as_sarif, as_text
from agent.review.job import OpenedReviewer, Progress, Reviewed, ReviewJob, ReviewOptions
from agent.review.question import confirmer
from agent.review.repository import Repository
from agent.review.wording import explainer
from inference.errors import ContextOverflow
from tests.fakes.scripted_model import Call, Scripted, ScriptedModel
from tools.git_changes import ChangedFile, Hunk

OLD = "import os\n\n\ndef f(n):\n    if n >= 10:\n        return 1\n    return 0\n"
BAD = OLD.replace(">=", ">")


def changed(new: str, old: str = OLD, line: int = 5) -> ChangedFile:
    return ChangedFile("a.py", "a.py", "modified", old, new, (Hunk(line, 1, line, 1),))


class Prefers:
    """Finds every token unlikely in lines that hold ``dislikes``."""

    def __init__(self, dislikes: str) -> None:
        self.dislikes = dislikes
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
        self.asked.append((prefix, tuple(texts)))
        return [
            [TokenScore(line, -12.0 if self.dislikes in line else -1.0) for line in text.splitlines(True)]
            for text in texts
        ]


class Review:
    def __init__(self, scorer: Prefers, path: Path | None = None) -> None:
        self.scorer = scorer
        self.path = path
        self.opened = 0
        self.progress: list[Progress] = []

    def run(self, *files: ChangedFile, **options: float | bool | None) -> tuple[list[Finding], list[str], int]:
        async def open_reviewer() -> OpenedReviewer:
            self.opened += 1
            return OpenedReviewer(self.scorer, JudgementCache(self.path, "model"))

        job = ReviewJob(ReviewOptions(**options), open_reviewer, self.progress.append)  # type: ignore[arg-type]
        reviewed: Reviewed = asyncio.run(job.run(Change(files), Baseline()))
        return list(reviewed.findings), list(reviewed.notes), reviewed.files


def test_the_version_that_the_model_would_not_have_written_is_a_finding_on_its_line() -> None:
    findings, notes, count = Review(Prefers("n > 10")).run(changed(BAD))
    assert [(each.path, each.start, each.rule) for each in findings] == [("a.py", 5, "likelihood")]
    assert findings[0].confidence > 0.9
    assert "`if n >= 10:`" in findings[0].body
    assert (notes, count) == ([], 1)


def test_the_better_version_is_none() -> None:
    assert Review(Prefers("n > 10")).run(changed(OLD, BAD))[0] == []


def test_short_passages_come_first_and_progress_names_what_is_suspected_most() -> None:
    lines = "".join(f"    total += n * {number}\n" for number in range(8))
    long = f"def g(n):\n    total = 0\n{lines}    return total >= 3\n"
    wordy = ChangedFile("z.py", "z.py", "modified", long, long.replace(">=", "<="), (Hunk(11, 1, 11, 1),))
    review = Review(Prefers("n > 10"))
    assert len(review.run(wordy, changed(BAD))[0]) == 1
    assert [len(prefix) for prefix, _ in review.scorer.asked] == sorted(
        len(prefix) for prefix, _ in review.scorer.asked
    )
    assert [(each.done, each.total) for each in review.progress] == [(0, 2), (1, 2), (2, 2)]
    assert [each.surest and each.surest.path for each in review.progress] == [None, "a.py", "a.py"]
    assert [each.seconds_left is None for each in review.progress] == [True, False, False]


def test_both_versions_stand_on_the_same_context_and_end_with_the_change() -> None:
    scorer = Prefers("-")
    Review(scorer).run(changed(BAD))
    ((prefix, texts),) = scorer.asked
    assert prefix == "def f(n):\n"
    assert list(texts) == ["    if n >= 10:\n", "    if n > 10:\n"]


def test_where_lines_only_go_what_follows_them_is_compared() -> None:
    scorer = Prefers("-")
    old = "def f(n):\n    n += 1\n    return n\n"
    new = "def f(n):\n    return n\n"
    Review(scorer).run(ChangedFile("a.py", "a.py", "modified", old, new, (Hunk(2, 1, 2, 0),)))
    ((_, texts),) = scorer.asked
    assert list(texts) == ["    n += 1\n    return n\n", "    return n\n"]


def test_without_anything_to_judge_no_model_is_opened() -> None:
    review = Review(Prefers("-"))
    deleted = ChangedFile("a.py", "a.py", "deleted", OLD, None, (Hunk(1, 7, 1, 0),))
    assert review.run(changed(OLD.replace("    return 0", "    # zero\n    return 0")), deleted)[2] == 2
    assert review.opened == 0


def test_a_judgement_is_made_once_for_the_same_content(tmp_path: Path) -> None:
    review = Review(Prefers("n > 10"), tmp_path / "review.db")
    first = review.run(changed(BAD))
    assert review.run(changed(BAD)) == first
    assert len(review.scorer.asked) == 1
    moved = changed(f"\n\n{BAD}", f"\n\n{OLD}", 7)
    assert [each.start for each in review.run(moved)[0]] == [7]
    assert len(review.scorer.asked) == 1


def test_a_damaged_cache_costs_the_judging_only(tmp_path: Path) -> None:
    path = tmp_path / "review.db"
    path.write_bytes(b"no database" * 100)
    assert len(Review(Prefers("n > 10"), path).run(changed(BAD))[0]) == 1


class Narrow(Prefers):
    """Holds passages of this many characters at the most."""

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
        if (longest := max(map(len, texts))) > 300:
            raise ContextOverflow(longest, 300)
        return await super().score(prefix, texts)


def test_a_change_that_the_model_cannot_hold_is_named_and_the_others_are_judged() -> None:
    steps = "".join(f"    n += {number}\n" for number in range(30))
    long = f"def g(n):\n{steps}    return n\n"
    longer = long.replace("+=", "-=")
    lengthy = ChangedFile("long.py", "long.py", "modified", long, longer, (Hunk(2, 30, 2, 30),))
    findings, notes, _ = Review(Narrow("n > 10")).run(lengthy, changed(BAD))
    assert [each.path for each in findings] == ["a.py"]
    assert notes == ["Changes that are too long for the model were checked without it: long.py."]


def test_a_time_limit_leaves_a_note_and_the_certain_checks() -> None:
    broken = changed(BAD + "breakpoint()\n")
    file = ChangedFile("a.py", "a.py", "modified", OLD, broken.new, (*broken.hunks, Hunk(8, 0, 8, 1)))
    findings, notes, _ = Review(Prefers("n > 10")).run(file, seconds=0.0)
    assert [each.rule for each in findings] == ["debug"]
    assert any("time limit" in note for note in notes)


def test_what_is_not_reviewed_is_said() -> None:
    skipped = ChangedFile("b.bin", "b.bin", "modified", None, None, skipped="it is binary")
    findings, notes, count = Review(Prefers("-")).run(skipped)
    assert (findings, notes, count) == ([], ["b.bin not reviewed: it is binary."], 0)


@pytest.mark.parametrize(
    "comment", ["# agent: ignore", "# agent: ignore[likelihood]", "# Agent: Ignore[debug, likelihood]"]
)
def test_a_comment_accepts_a_finding(comment: str) -> None:
    new = BAD.replace("n > 10:", f"n > 10:  {comment}")
    assert Review(Prefers("n > 10")).run(changed(new))[0] == []
    assert (
        len(Review(Prefers("n > 10")).run(changed(BAD.replace("n > 10:", "n > 10:  # agent: ignore[secret]")))[0]) == 1
    )


def finding(line: int = 5, code: str = "x = 1", confidence: float = 0.9) -> Finding:
    return Finding(
        "a b.py", line, line, Priority.HIGH, "A title: 100 %, \x1b[31mred", "A body.", confidence, "likelihood", code
    )


def test_a_baseline_accepts_what_was_found_wherever_it_moves(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert read_baseline(path) == Baseline()
    write_baseline(path, [finding(), finding()])
    baseline = read_baseline(path)
    assert not_accepted([finding(90, "x  =  1"), finding(91)], baseline) == []
    assert len(not_accepted([finding(1), finding(2), finding(3)], baseline)) == 1, "a third one is new"
    assert len(not_accepted([finding(code="y = 1")], baseline)) == 1
    path.write_text("{}{")
    with pytest.raises(UsageError, match="is not a baseline"):
        read_baseline(path)


def test_json_holds_the_fields_of_the_product(tmp_path: Path) -> None:
    value = json.loads(as_json(Report(tmp_path, (finding(),), 1)))
    (only,) = value["findings"]
    assert set(only) >= {"title", "body", "confidence_score", "priority", "code_location"}
    assert only["title"].startswith("[P1] ")
    assert only["code_location"]["line_range"] == {"start": 5, "end": 5}
    assert value["overall_correctness"] == "patch is incorrect"


def test_sarif_has_rules_places_and_stable_fingerprints(tmp_path: Path) -> None:
    log = json.loads(as_sarif(Report(tmp_path, (finding(), finding(9)), 1, ("A note.",)), "1.0"))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    assert [each["ruleId"] for each in run["results"]] == ["likelihood", "likelihood"]
    assert run["tool"]["driver"]["rules"][run["results"][0]["ruleIndex"]]["id"] == "likelihood"
    marks = [each["partialFingerprints"]["agentReview/v1"] for each in run["results"]]
    assert marks == fingerprints([finding(), finding(9)])
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b.py"


def test_github_annotations_cannot_be_forged(tmp_path: Path) -> None:
    text = as_github(Report(tmp_path, (finding(),), 1, ("a\n::error::forged",)))
    lines = text.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("::error file=a b.py,line=5,endLine=5,title=[P1] A title%3A 100 %25%2C red::")
    assert "\x1b" not in text


def test_nothing_reviewed_is_said_aloud(tmp_path: Path) -> None:
    assert "Nothing was reviewed: 0 files" in as_text(Report(tmp_path, (), 0))
    assert "0 files" in json.loads(as_json(Report(tmp_path, (), 0)))["overall_explanation"]


class Answers(ScriptedModel):
    """Believes in each mistake as told."""

    def __init__(self, belief: float, responses: Sequence[Scripted] = ()) -> None:
        super().__init__(responses)
        self.belief = belief
        self.questions: list[str] = []

    async def shares(self, questions: Sequence[str], answers: Sequence[str]) -> list[list[float]]:
        assert tuple(answers) == ("Yes", "No")
        self.questions += questions
        return [[self.belief, 1 - self.belief] for _ in questions]


TESTS = """\
import a


def test_other():
    assert a.g() == 1


def test_ten_counts():
    assert a.f(10) == 1
"""
NAMES_F = Repository({"tests/test_a.py": TESTS, "b.py": "f(10)"}.get, lambda word: ["b.py", "tests/test_a.py"])


def second_look(
    model: Answers, rules: str = "", repository: Repository | None = None, change: ChangedFile | None = None
) -> list[Finding]:
    async def open_reviewer() -> OpenedReviewer:
        cache = JudgementCache(None, "model")
        return OpenedReviewer(Prefers("n > 10"), cache, confirmer(model), explainer(model, rules))

    job = ReviewJob(ReviewOptions(), open_reviewer, lambda _: None)
    return list(
        asyncio.run(job.run(Change((change or changed(BAD),), repository or Repository()), Baseline())).findings
    )


def test_the_tests_of_what_was_changed_are_part_of_both_questions() -> None:
    words = Scripted(calls=(Call("report_problem", {"title": "Ten is left out", "body": "For n = 10 it gives 0."}),))
    model = Answers(0.9, [words])
    second_look(model, repository=NAMES_F)
    tests = "Its tests:\n```\ndef test_ten_counts():\n    assert a.f(10) == 1\n```\n"
    assert tests in model.questions[0]
    assert tests in model.conversations[0].entries[-2].text


def test_what_its_names_mean_is_part_of_both_questions() -> None:
    words = Scripted(calls=(Call("report_problem", {"title": "Ten is left out", "body": "For n = 10 it gives 0."}),))
    model = Answers(0.9, [words])
    above = "import os\nimport sys\n\n\ndef g(a, b):\n    return a\n\n\n"
    old = above + OLD.split("\n\n\n")[1].replace("n >= 10", "n >= g(os, 10)")
    new = old.replace("n >= g(os, 10)", "n > 10 + g(os, 0)")
    second_look(model, change=changed(new, old, old.split("\n").index("    if n >= g(os, 10):") + 1))
    header = "import os\n\n\ndef g(a, b): ...\n\n\ndef f(n):\n"
    assert header in model.questions[0]
    assert header in model.conversations[0].entries[-2].text


def test_a_model_that_sees_no_mistake_takes_the_suspicion_away_and_one_that_does_confirms_it() -> None:
    assert second_look(Answers(0.0001)) == []
    words = Scripted(calls=(Call("report_problem", {"title": "Ten is left out", "body": "For n = 10 it gives 0."}),))
    model = Answers(0.9, [words])
    (finding,) = second_look(model, "Mind the bounds.")
    assert finding.headline == "[P1] Ten is left out"
    assert finding.body.startswith("For n = 10 it gives 0. In f, what stood here before")
    assert "    if n > 10:\n" in model.questions[0]
    asked = model.conversations[0].entries[-2].text
    assert "Rules of this repository:\nMind the bounds." in asked
    assert model.conversations[0].asked[0].tool_choice == "required"


def test_words_that_break_off_leave_the_plain_sentence() -> None:
    (finding,) = second_look(Answers(0.9, [Scripted(calls=(Call("report_problem", {}, error="cut"),))]))
    assert finding.title == "This change looks like a mistake"
