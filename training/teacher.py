"""Stands in the engine's place and answers as a model should that repairs the bug; it decodes nothing.

It knows the bug. What it says can be found in what it was shown, so that a model can learn to say it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from agent.messages import ToolCall
from agent.model.formats.gemma4_tokens import Gemma4Tokens
from agent.model.formats.gemma4_turns import Gemma4Turns
from agent.model.formats.literal import LiteralEncoder
from inference.request import EngineEvent, Finished, FinishReason, Request, Stats, TokensDecoded
from inference.tokenizer import Tokenizer
from training.quotations import Pair, shortened
from training.repositories import Case
from training.slips import Slip, differences


@dataclass(frozen=True, slots=True)
class Answer:
    """``write`` gives the ids that answer a request, none where there is no right answer to it.

    What is not ``learnt`` is a mistake: it is there to be gone on from.
    """

    write: Callable[[Teacher, Request], list[int]]
    learnt: bool = True


_FENCE = "```python\n"


class Teacher:
    """An Engine that answers the n-th request with ``answers[n]``; ``heard`` is what it was sent, and what it said."""

    context_tokens = 16_384
    model_name = "teacher"
    architecture = "gemma4"

    def __init__(self, tokenizer: Tokenizer, answers: Sequence[Answer]) -> None:
        self.tokenizer = tokenizer
        self.tokens = Gemma4Tokens.of(tokenizer)
        self.heard: list[tuple[Request, list[int]]] = []
        self._answers = answers

    async def start(self) -> None:
        """Nothing to load."""

    async def submit(self, request: Request) -> AsyncIterator[EngineEvent]:
        """The next answer; nothing for what is only to be read, and nothing when there are no more answers."""
        await asyncio.sleep(0)
        said: list[int] = []
        if not request.background and len(self.heard) < len(self._answers):
            said = self._answers[len(self.heard)].write(self, request)
            self.heard.append((request, said))
            yield TokensDecoded(tuple(said))
        yield Finished(FinishReason.STOP if said else FinishReason.LENGTH, Stats(decoded_tokens=len(said)))

    def cancel(self, request_id: str) -> None:
        """Nothing goes on for long."""

    async def close(self) -> None:
        """Nothing to free."""

    def prompt(self, request: Request) -> str:
        """What a request says, as text."""
        return b"".join(map(self.tokenizer.piece, request.tokens)).decode()

    def call(self, name: str, thought: str, **arguments: object) -> list[int]:
        """A tool call, a thought before it where there is one, and the hand-over to the tools."""
        turns = self._turns()
        if thought:
            turns.thought(thought)
        turns.call(ToolCall("", name, arguments))
        turns.open_result()
        return turns.ids()

    def words(self, text: str) -> list[int]:
        """Words as they are, and the end of the turn."""
        return [*LiteralEncoder(self.tokenizer).encode(text), self.tokens.turn_close]

    def _turns(self) -> Gemma4Turns:
        return Gemma4Turns(LiteralEncoder(self.tokenizer), self.tokens)


def with_tools(case: Case, *, thinks: bool, slip: Slip | None = None) -> list[Answer]:
    """Change the place, which the prompt shows, and tell what was changed; perhaps after a change that was wrong."""

    def mend(teacher: Teacher, request: Request) -> list[int]:
        text = (case.root / case.path).read_text()
        pairs = differences(text, case.specimen.text) if slip else (case.bug.repair(),)
        if not pairs or any(old not in teacher.prompt(request) for old, _ in pairs):
            return []  # nobody could know
        pairs = [shortened(pair, text) for pair in pairs]
        thought = f"The mistake is in this line:\n{case.bug.repair()[0].strip()}" if thinks else ""
        return change(teacher, thought, pairs)

    def change(teacher: Teacher, thought: str, pairs: Sequence[Pair]) -> list[int]:
        replacements = [{"find": old, "replace": new} for old, new in pairs]
        return teacher.call("edit", thought, path=case.path, replacements=replacements)

    def tell(teacher: Teacher, _: Request) -> list[int]:
        return teacher.words("Corrected.")

    answers = [Answer(mend), Answer(tell)]
    if slip is None:
        return answers

    def err(teacher: Teacher, _: Request) -> list[int]:
        pair = slip.pair if slip.refused else shortened(slip.pair, case.bug.text)
        return change(teacher, "", (pair,))

    wrong = Answer(err, learnt=False)
    return [wrong, *answers] if slip.refused else [wrong, Answer(tell), *answers]


def with_code(case: Case) -> list[Answer]:
    """Write the function's body behind the head that the answer is made to begin with."""

    def write(teacher: Teacher, request: Request) -> list[int]:
        head = teacher.prompt(request).rpartition(_FENCE)[2]
        right = case.specimen.written()
        # A head that holds the bug itself cannot be gone on from.
        return teacher.words(right.removeprefix(head) + "\n```") if head and right.startswith(head) else []

    return [Answer(write)]
