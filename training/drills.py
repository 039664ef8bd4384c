"""Short exercises that lead up to whole sessions: repeating lines, and mending several lines of one function at once.

They are made of source files alone: nothing is run. What the model says has the form that it has in sessions, and
there is more of it beside what it has to read: that is what it learns to copy from.

    python -m training.drills --vocabulary run/vocabulary.gguf --out run/drills.jsonl --count 20000
"""

from __future__ import annotations

import argparse
import json
import random
import textwrap
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import prompts
from agent.messages import ToolCall
from agent.model.formats.gemma4_tokens import Gemma4Tokens
from agent.model.formats.gemma4_turns import Gemma4Turns
from agent.model.formats.literal import LiteralEncoder
from inference.tokenizer import Tokenizer
from training.bugs import KINDS, Bug, inject
from training.cut import open_tokenizer
from training.quotations import shortened
from training.renaming import exchange, renamed, some_names
from training.repositories import COMMAND
from training.samples import Sample, write_samples
from training.slices import WORDLESS_SHARE, without_words
from training.source_code import Code
from training.sources import Source, all_sources
from training.specimens import fingerprint, functions, held_out_functions

_TEXT_TOKENS = 512
_REPEATED_TOKENS = 256
_SYSTEM = "You repair code."
_MOST_MISTAKES = 6
_POINTED_AT = 0.4  # of the mistakes that Python does not name
_TOLD = 0.85
_FILE = "<file>"
_FOLDERS = ("/srv/app", "/home/me/src", "/tmp/fix-1", "/root/project", "/Users/me/code")
_ALPHABETS = (4, 16, 64, 256, 1024)  # how many different ids a sequence without sense is drawn from


@dataclass(frozen=True, slots=True)
class Mistake:
    """One line as it stands and as it should be; ``told`` is what a failure would say about it, perhaps nothing: lines
    as pytest marks them, with the line itself where Python quotes it."""

    kind: str
    old: str
    new: str
    told: tuple[str, ...]


class Writer:
    """Renders exercises for one vocabulary."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokens = Gemma4Tokens.of(tokenizer)
        self._encoder = LiteralEncoder(tokenizer)

    def encode(self, text: str) -> list[int]:
        """The ids of plain text."""
        return self._encoder.encode(text)

    def text(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Ids behind the first id of every sequence."""
        return (self._tokens.bos, *ids)

    def sample(self, question: str, path: str, code: str, mistakes: Sequence[Mistake], source: Source) -> Sample:
        """A question and the call that mends the mistakes of ``code``, as a short session."""
        turns = self._turns()
        turns.begin()
        turns.system(_SYSTEM, (), thinking=False)
        turns.user(question)
        turns.open_model()
        turns.thought("")
        prompt = turns.ids()
        turns = self._turns()
        short = (shortened((each.old, each.new), code) for each in mistakes)
        pairs = [{"find": old, "replace": new} for old, new in short]
        turns.call(ToolCall("", "edit", {"path": path, "replacements": pairs}))
        turns.open_result()
        ids = (*prompt, *turns.ids())
        kind = f"drill {mistakes[0].kind}" if len(mistakes) == 1 else "drill several"
        return Sample(ids, ((len(prompt), len(ids)),), kind, source.label, 0, source.held_out)

    def _turns(self) -> Gemma4Turns:
        return Gemma4Turns(self._encoder, self._tokens)


def drills(
    source: Source, writer: Writer, seed: int, names: Sequence[str] = (), *, unlike: Container[str] = ()
) -> Iterator[Sample]:
    """Exercises from one source: for each function one with several mistakes and one with a single one.

    With ``names`` the functions' names are exchanged. Those whose fingerprint is in ``unlike`` are left out.
    """
    text = source.text()
    try:
        found = list(functions(text)) if text else []
    except (SyntaxError, ValueError):
        return
    for code in found:
        chance = random.Random(f"{seed} {source.name} {code.function.name}")
        path = source.name
        if unlike and fingerprint(code) in unlike:
            continue
        if names:
            code, path = _other(code, chance, names), f"{chance.choice(names)}/{chance.choice(names)}_.py"
        shown = code.text.split("\n")[code.function.lineno - 1 : code.function.end_lineno]
        mistakes = list(_mistakes(code, shown, chance))
        for count in dict.fromkeys((chance.randint(1, _MOST_MISTAKES), 1)):
            some = dict(chance.sample(mistakes, min(count, len(mistakes))))
            if some:
                yield _exercise(shown, some, (source, path), writer, chance)


def _other(code: Code, chance: random.Random, names: Sequence[str]) -> Code:
    """The function by itself, under the head of its class, with other names and mostly without words about it."""
    lines = code.text.split("\n")
    text = "\n".join(lines[code.function.lineno - 1 : code.function.end_lineno]) + "\n"
    if code.owner:
        text = f"class {code.owner.name}:\n{text}"
    try:
        text = renamed(text, exchange(text, chance, names, chance.choice((0.0, 0.5, 1.0))))
        text = without_words(text) if chance.random() < WORDLESS_SHARE else text
        return next(each for each in functions(text) if each.owner_name == code.owner_name)
    except (SyntaxError, StopIteration):
        return code


def _mistakes(code: Code, shown: Sequence[str], chance: random.Random) -> Iterator[tuple[int, Mistake]]:
    """Bugs within one line that stands in the function once, for many of its lines one, with the line's number."""
    taken: set[int] = set()
    for kind in chance.sample(tuple(KINDS), len(KINDS)):
        for bug in islice(inject(code, kind, chance.randrange(1000)), 3):
            number = bug.line - code.function.lineno
            if "\n" in bug.right or "\n" in bug.text[bug.start : bug.end] or number in taken:
                continue
            if not 0 <= number < len(shown):
                continue
            start = bug.text.rfind("\n", 0, bug.start) + 1
            end = (bug.text + "\n").find("\n", bug.end)
            old = bug.text[start:end]
            if old.strip() and not any(old in line for line in shown):
                taken.add(number)
                yield number, Mistake(kind, old, shown[number], _told(bug, code.function.lineno - 1))
                break


def _told(bug: Bug, above: int) -> tuple[str, ...]:
    """What Python would say of the mistake, where that can be known without running it; ``above`` are the lines of the
    file that are not shown."""
    wrong, right = bug.text[bug.start : bug.end], bug.right
    if bug.kind == "wrong_name":
        return (f"NameError: name '{wrong}' is not defined. Did you mean: '{right}'?",)
    if bug.kind == "wrong_attribute":
        return (f"AttributeError: object has no attribute '{wrong}'. Did you mean: '{right}'?",)
    if bug.kind in ("missing_colon", "missing_bracket", "bad_indentation"):
        try:
            compile(bug.text, "file.py", "exec", dont_inherit=True)
        except SyntaxError as error:
            line, margin = (error.text or "").rstrip(), len(error.text or "") - len((error.text or "").lstrip())
            return (
                f'  File "{_FILE}", line {max(1, (error.lineno or 0) - above)}',
                f"    {line.strip()}",
                f"    {' ' * max(0, (error.offset or 1) - 1 - margin)}^",
                f"{type(error).__name__}: {error.msg}",
            )
    return ()


def _exercise(
    lines: Sequence[str],
    mistakes: dict[int, Mistake],
    origin: tuple[Source, str],
    writer: Writer,
    chance: random.Random,
) -> Sample:
    """The function with the mistakes in it, asked for as sessions ask; some failures say where the mistake is."""
    ordered = [mistakes[number] for number in sorted(mistakes)]
    source, path = origin
    code = "\n".join(mistakes[number].old if number in mistakes else line for number, line in enumerate(lines))
    failures: list[str] = []
    for each in ordered:
        # pytest shows functions as if they stood at the margin.
        line = textwrap.dedent(f"{lines[0]}\n{each.old}").split("\n")[-1]
        margin = " " * (len(line) - len(line.lstrip()))
        if len(each.told) > 1:
            file = f"{chance.choice(_FOLDERS)}/{path}"
            told = [f"E   {part}".replace(_FILE, file) for part in each.told]
        else:
            told = [f">   {line}"] if each.told or chance.random() < _POINTED_AT else []
            told += [f"E   {margin}{part}" for part in each.told]
        if told and chance.random() < _TOLD:
            failures.append("```\n" + "\n".join(told) + "\n```")
    if len(ordered) == 1 and failures and chance.random() < 0.5:
        failures.insert(0, _test(lines[0], path, syntax=len(ordered[0].told) > 1))
    asked = prompts.load(
        "fix/tools",
        complaint="",
        command=COMMAND,
        failures="\n".join(failures) or f"{len(ordered)} failed",
        code=f"{path}:\n```python\n{code}\n```",
    )
    return writer.sample(asked, path, code, ordered, source)


def _test(head: str, path: str, *, syntax: bool) -> str:
    """The beginning of a test as a failure shows it; of its file, where the code cannot be imported."""
    name = head.partition("def ")[2].partition("(")[0] or "value"
    module = path.rpartition("/")[2].removesuffix(".py")
    title = f"`{'py' if syntax else f'test_{name}'}` in tests/test_{module}.py:"
    if syntax:
        package = path.partition("/")[0]
        return f"{title}\n```\nfrom {package}.{module} import {name}\n\n\ndef test_{name}():\n```"
    checks = [f"assert {name}(1, 2) == 3", f"assert {name}(0, 1) == 1"]
    shown = "\n".join([f"def test_{name}():", *(f"    {check}" for check in checks)])
    return f"{title}\n```\n{shown}\n```\n```\n>       {checks[0]}\n```"


def repeats(source: Source, writer: Writer, seed: int) -> Iterator[Sample]:
    """Lines of the source, then some of them again in another order; and sequences without sense, twice.

    Whoever sees a thing for the second time knows how it goes on.
    """
    text = source.text()
    if not text:
        return
    chance = random.Random(f"{seed} {source.name}")
    encoded = [writer.encode(line + "\n") for line in text.split("\n") if line.strip()]
    known = [number for line in encoded for number in line]
    place = 0
    while place < len(encoded):
        block: list[list[int]] = []
        while place < len(encoded) and sum(map(len, block)) < _REPEATED_TOKENS // 2 and len(block) < 16:
            block.append(encoded[place])
            place += 1
        if chance.random() < 0.5:
            alphabet = chance.choices(known, k=chance.choice(_ALPHABETS))
            block = [chance.choices(alphabet, k=chance.randint(2, 20)) for _ in block]
        first = [number for line in block for number in line]
        again = [number for line in chance.sample(block, len(block)) for number in line]
        ids = writer.text([*first, *again])[: _REPEATED_TOKENS + 64]
        if len(ids) > len(first) + 8:
            yield Sample(ids, ((len(first) + 1, len(ids)),), "repeat", source.label, 0, source.held_out)


def texts(source: Source, writer: Writer) -> Iterator[Sample]:
    """A source, cut into pieces of at most ``_TEXT_TOKENS`` tokens."""
    text = source.text()
    ids = writer.encode(text) if text else []
    for start in range(0, len(ids), _TEXT_TOKENS):
        piece = writer.text(ids[start : start + _TEXT_TOKENS])
        if len(piece) > 32:
            yield Sample(piece, ((1, len(piece)),), "text", source.label, 0, source.held_out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20_000, help="of exercises; half as many repeats, a fifth texts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--more", type=Path, help="a folder with further packages")
    parser.add_argument("--names", action="store_true", help="exchange names")
    args = parser.parse_args()
    sources = all_sources(args.more)
    names = some_names(sources, args.seed) if args.names else ()
    taken = held_out_functions(sources)

    def exercises() -> Iterator[Sample]:
        for source in sources:
            yield from drills(source, writer, args.seed, names, unlike=() if source.held_out else taken)

    random.Random(args.seed).shuffle(sources)
    args.out.unlink(missing_ok=True)
    with open_tokenizer(args.vocabulary) as tokenizer:
        writer = Writer(tokenizer)
        kinds = {
            "exercises": (exercises(), 1),
            "repeats": ((each for source in sources for each in repeats(source, writer, args.seed)), 2),
            "texts": ((each for source in sources for each in texts(source, writer)), 5),
        }
        counts = {
            name: write_samples(args.out, islice(samples, args.count // part))
            for name, (samples, part) in kinds.items()
        }
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
