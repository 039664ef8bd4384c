"""Short exercises that lead up to whole sessions: reading code, copying a line, changing a line, finding a mistake.

They are made of source files alone: nothing is run. What the model says has the form that it has in sessions.

    python -m training.drills --vocabulary run/vocabulary.gguf --out run/drills.jsonl --count 20000
"""

from __future__ import annotations

import argparse
import ast
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.messages import ToolCall
from agent.model.formats.gemma4_tokens import Gemma4Tokens
from agent.model.formats.gemma4_turns import Gemma4Turns
from agent.model.formats.literal import LiteralEncoder
from inference.tokenizer import Tokenizer
from training.bugs import KINDS, Bug, inject
from training.cut import open_tokenizer
from training.samples import Sample, write_samples
from training.sources import Source, all_sources
from training.specimens import functions

_TEXT_TOKENS = 512
_SYSTEM = "You repair code."
# Bugs that whoever reads the function can find without running it.
_VISIBLE = ("wrong_name", "wrong_attribute", "missing_return", "missing_self", "bad_indentation", "missing_colon",
            "missing_bracket")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exercise:
    """What the user says, and the call that is the right answer."""

    kind: str
    question: str
    path: str
    old: str
    new: str


class Writer:
    """Renders exercises for one vocabulary."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokens = Gemma4Tokens.of(tokenizer)
        self._encoder = LiteralEncoder(tokenizer)

    def text(self, text: str) -> list[int]:
        """Plain text behind the first id of every sequence."""
        return [self._tokens.bos, *self._encoder.encode(text)]

    def sample(self, exercise: Exercise, source: Source) -> Sample:
        """The exercise as a short session."""
        turns = self._turns()
        turns.begin()
        turns.system(_SYSTEM, (), thinking=False)
        turns.user(exercise.question)
        turns.open_model()
        turns.thought("")
        prompt = turns.ids()
        turns = self._turns()
        edits = [{"old": exercise.old, "new": exercise.new}]
        turns.call(ToolCall("", "edit", {"path": exercise.path, "edits": edits}))
        turns.open_result()
        ids = (*prompt, *turns.ids())
        said = ((len(prompt), len(ids)),)
        return Sample(ids, said, f"drill {exercise.kind}", source.label, 0, source.held_out)

    def _turns(self) -> Gemma4Turns:
        return Gemma4Turns(self._encoder, self._tokens)


def copying(code: str, bug: Bug, path: str) -> Exercise:
    """Replace one line by another that is given: both are only to be copied."""
    old, new = bug.repair()
    asked = f"Replace\n```\n{old}\n```\nby\n```\n{new}\n```"
    return Exercise("copying", f"{path}:\n```python\n{code}\n```\n\n{asked}", path, old, new)


def editing(code: str, bug: Bug, path: str) -> Exercise:
    """The line is given; what it should be has to be found."""
    old, new = bug.repair()
    return Exercise(
        "editing", f"{path}:\n```python\n{code}\n```\n\nThe mistake is in this line:\n{old}", path, old, new
    )


def finding(code: str, bug: Bug, path: str) -> Exercise:
    """The mistake has to be found, and mended."""
    old, new = bug.repair()
    return Exercise("finding", f"{path}:\n```python\n{code}\n```\n\nFind the mistake.", path, old, new)


_FORMS: tuple[tuple[Callable[[str, Bug, str], Exercise], tuple[str, ...]], ...] = (
    (copying, tuple(KINDS)),
    (editing, tuple(KINDS)),
    (finding, _VISIBLE),
)


def drills(source: Source, writer: Writer, seed: int) -> Iterator[Sample]:
    """Exercises from one source: for each function one of each form."""
    text = source.text()
    try:
        found = list(functions(text)) if text else []
    except (SyntaxError, ValueError):
        return
    for code in found:
        chance = random.Random(f"{seed} {source.name} {code.function.name}")
        for form, kinds in _FORMS:
            for kind in chance.sample(kinds, len(kinds)):
                bug = next(iter(inject(code, kind, seed)), None)
                if bug is None or kind == "missing_import":
                    continue
                yield writer.sample(form(_shown(code.function, bug), bug, source.name), source)
                break


def _shown(function: ast.FunctionDef, bug: Bug) -> str:
    """The function's lines in the text with the bug."""
    assert function.end_lineno is not None
    end = function.end_lineno + bug.text[bug.start : bug.end].count("\n") - bug.right.count("\n")
    return "\n".join(bug.text.split("\n")[function.lineno - 1 : end])


def texts(source: Source, writer: Writer) -> Iterator[Sample]:
    """A source, cut into pieces of at most ``_TEXT_TOKENS`` tokens."""
    text = source.text()
    ids = writer.text(text)[1:] if text else []
    for start in range(0, len(ids), _TEXT_TOKENS):
        piece = (2, *ids[start : start + _TEXT_TOKENS])
        if len(piece) > 32:
            yield Sample(piece, ((1, len(piece)),), "text", source.label, 0, source.held_out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20_000, help="of exercises; a fifth as many pieces of text")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    sources = all_sources()
    random.Random(args.seed).shuffle(sources)
    args.out.unlink(missing_ok=True)
    with open_tokenizer(args.vocabulary) as tokenizer:
        writer = Writer(tokenizer)
        exercises = (sample for source in sources for sample in drills(source, writer, args.seed))
        pieces = (sample for source in sources for sample in texts(source, writer))
        counts = [
            write_samples(args.out, (sample for sample, _ in zip(some, range(most), strict=False)))
            for some, most in ((exercises, args.count), (pieces, args.count // 5))
        ]
    print(json.dumps({"exercises": counts[0], "texts": counts[1]}))


if __name__ == "__main__":
    main()
