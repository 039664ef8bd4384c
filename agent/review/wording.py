"""Words for a finding: a plain sentence that names what changed, or the model's own within a schema.

It decides nothing about whether there is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from agent.errors import AgentError
from agent.messages import ToolSpec
from agent.model import Model, ResponseFinished, ResponseOptions
from agent.review.findings import Finding, Priority
from agent.review.header import header
from agent.review.judge import Judgement
from agent.review.passages import Passage
from agent.review.repository import Repository
from agent.review.tests_of import tests_of
from inference.errors import EngineError
from prompts import load
from tools.git_changes import ChangedFile

_SURE = 0.85  # a finding this sure is of high priority
_MOST_TOKENS = 120
_MOST_CONTEXT = 1_500  # characters of the code above
_REPORT = ToolSpec(
    "report_problem",
    "Report the problem to the author of the change.",
    {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "what goes wrong, in at most ten words"},
            "body": {"type": "string", "description": "when it goes wrong and why, in one or two sentences"},
        },
        "required": ["title", "body"],
    },
)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A finding of the model's, the passage that it is about, and as far as they were found the imports and heads of
    the definitions that it uses (``header``), and its tests."""

    file: ChangedFile
    passage: Passage
    finding: Finding
    header: str = ""
    tests: str = ""


Explain = Callable[[Suspicion], Awaitable[Finding]]


def with_surroundings(suspicion: Suspicion, repository: Repository) -> Suspicion:
    """With what a question about it shows besides the change."""
    file, passage = suspicion.file, suspicion.passage
    return replace(suspicion, header=header(file, passage, repository.read), tests=tests_of(passage, repository))


def plainly(file: ChangedFile, passage: Passage, found: Judgement) -> Finding:
    """The finding of a judgement (whose line counts from the passage's first), in words of ours."""
    lines = (file.new or "").splitlines()
    line = min(passage.start + found.line, max(1, len(lines)))
    code = lines[line - 1].strip() if lines else ""
    priority = Priority.HIGH if found.confidence >= _SURE else Priority.MEDIUM
    was = _counterpart(passage, code)
    title = "This change looks like a mistake"
    body = f"In {passage.name}, what stood here before fits its surroundings better"
    body += f": `{was}`." if was else "."
    return Finding(file.path, line, line, priority, title, body, found.confidence, "likelihood", code)


def _counterpart(passage: Passage, code: str) -> str:
    """The old line that is most like the new one, among those that went."""
    new = {line.strip() for line in passage.new.splitlines()}
    gone = [line.strip() for line in passage.old.splitlines() if line.strip() and line.strip() not in new]
    words = set(re.findall(r"\w+|\S", code))
    return max(gone, key=lambda line: len(words & set(re.findall(r"\w+|\S", line))), default="")


def explainer(model: Model, rules: str) -> Explain:
    """Lets a model word findings; ``rules`` are the repository's own for reviews, empty without any."""

    async def explain(suspicion: Suspicion) -> Finding:
        finding = suspicion.finding
        try:
            words = await _words(model, question(suspicion, rules))
        except (AgentError, EngineError):
            return finding
        title, body = (" ".join(str(words.get(name, "")).split()) for name in ("title", "body"))
        if not title or not body:
            return finding
        return replace(finding, title=title, body=f"{body} {finding.body}")

    return explain


def question(suspicion: Suspicion, rules: str) -> str:
    """What the model is asked: the two versions below what stands above them, and the tests."""
    return load(
        "review/explain",
        rules=f"Rules of this repository:\n{rules}\n\n" if rules else "",
        line=suspicion.finding.code,
        **versions(suspicion.passage, suspicion.header, suspicion.tests),
    )


def versions(passage: Passage, header: str, tests: str) -> dict[str, str]:
    """What every question about a passage shows of it, by the prompts' names; ``header`` and ``tests`` may be empty."""
    return {
        "path": passage.path,
        "header": header,
        "context": passage.context[-_MOST_CONTEXT:],
        "old": passage.old,
        "new": passage.new,
        "tests": f"Its tests:\n```\n{tests}```\n\n" if tests else "",
    }


async def _words(model: Model, text: str) -> dict[str, object]:
    """The arguments of the one call that the model is made to write; empty where it broke off."""
    conversation = model.open(load("review/explain_system"), (_REPORT,))
    conversation.add_user(text)
    options = ResponseOptions(_MOST_TOKENS, temperature=0.0, tool_choice="required", tool_name=_REPORT.name)
    async for event in conversation.respond(options):
        if isinstance(event, ResponseFinished):
            calls = [call for call in event.message.tool_calls if call.error is None]
            return dict(calls[0].arguments) if calls else {}
    return {}
