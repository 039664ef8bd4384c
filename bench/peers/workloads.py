"""What the systems are asked: prompts as token ids, and sessions in which every prompt goes on from the last.

A workload has a few tasks and each is asked once in a process's life: a second time would measure what a drafter
remembers of the first. It judges no answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench.peers.completion import Completion, Reply, System

DATA = Path(__file__).parents[1] / "data"
ROOT = Path(__file__).parents[2]
SYSTEM = "You are a careful Python programmer."
CHAT_END = "<|im_end|>"

NEW_CODE = (
    "Write a Python class `Matrix` with addition, multiplication, transposition and a determinant, with docstrings.",
    "Write a Python command line program that finds duplicate files below a folder by their size and SHA-256.",
    "Write a Python function that parses CSV text by RFC 4180 without the csv module, and pytest tests for it.",
)
PROSE = (
    "Explain to a new colleague in plain prose, without lists or code, why a program's tests should not depend on "
    "each other's order.",
    "Describe in plain prose, without lists or code, how a hash table works and when it becomes slow.",
    "Tell in plain prose, without lists or code, what happens between typing an address into a browser and seeing "
    "the page.",
)
REWRITE = """{source_name}:
```python
{source}```

Make these three changes and leave everything else as it is:
{changes}

Answer with the whole changed file in one Python code block and nothing else."""

Encode = Callable[[str], tuple[int, ...]]
Task = Callable[[System], list[Reply]]


@dataclass(frozen=True, slots=True)
class Workload:
    """``tasks`` by name; a run's result is the sum over its replies."""

    name: str
    tasks: dict[str, Task]


def chat(encode: Encode, user: str) -> tuple[int, ...]:
    """A first user message in Qwen's format, ready for the answer."""
    return encode(
        f"<|im_start|>system\n{SYSTEM}{CHAT_END}\n<|im_start|>user\n{user}{CHAT_END}\n<|im_start|>assistant\n"
    )


def single(prompt: tuple[int, ...], max_tokens: int, stop: tuple[int, ...] = ()) -> Task:
    """One question."""
    return lambda system: [system.complete(Completion(prompt, max_tokens, stop))]


def answers(name: str, encode: Encode, questions: Sequence[str], max_tokens: int) -> Workload:
    """Questions that are answered at length."""
    stop = encode(CHAT_END)
    prompts = {f"{name} {i}": chat(encode, question) for i, question in enumerate(questions, start=1)}
    return Workload(name, {task: single(prompt, max_tokens, stop) for task, prompt in prompts.items()})


def plain(encode: Encode, max_tokens: int = 64) -> Workload:
    """Decoding alone: so many tokens, whatever they are."""
    prompts = {f"plain {i}": chat(encode, question) for i, question in enumerate(NEW_CODE + PROSE, start=1)}
    return Workload("plain", {task: single(prompt, max_tokens) for task, prompt in prompts.items()})


def rewrite(encode: Encode) -> Workload:
    """Files of 80 lines, each written again with three changes."""
    questions: list[str] = []
    for path in sorted((DATA / "rewrite").glob("*.py.txt")):
        changes = path.with_name(path.name.replace(".py.", ".task.")).read_text().strip()
        name = path.name.removesuffix(".txt")
        questions.append(REWRITE.format(source_name=name, source=path.read_text(), changes=changes))
    return answers("rewrite", encode, questions, 1200)


def prefill(encode: Encode, length: int) -> Workload:
    """Reading ``length`` tokens of source code that nobody has read before, up to the first token of an answer."""
    text = encode("".join(path.read_text() for path in sorted((DATA / "rewrite").glob("*.py.txt"))))
    text *= length // len(text) + 1
    first = count(1000)  # another first token each time, so that no prefix is shared

    def read(system: System) -> list[Reply]:
        return [system.complete(Completion((next(first), *text[: length - 1]), 1))]

    name = f"prefill {length}"
    return Workload(name, {f"{name}, {number}": read for number in range(1, 6)})


def constructed(encode: Encode, max_tokens: int = 256) -> Workload:
    """Decoding with a constructed Gemma 4, which answers each token with a fixed partner; texts do not matter to it."""
    prompts = {
        f"constructed {i}": encode(f"<bos><|turn>user\n{question}<turn|>\n<|turn>model\n")
        for i, question in enumerate(NEW_CODE + PROSE, start=1)
    }
    return Workload("constructed", {task: single(prompt, max_tokens) for task, prompt in prompts.items()})


def dropped_thoughts(encode: Encode) -> Workload:
    """A turn with 2,000 tokens of thoughts and tools at the end of 8k of context, then a user message.

    Gemma 4's protocol drops a turn's thoughts once the user speaks again, so everything behind the first thought has to
    be read again. The user reads the answer first; what a system does in that time is not counted. The first reply is
    the turn's, the second the next one's.
    """
    file = "".join(path.read_text() for path in sorted((DATA / "rewrite").glob("*.py.txt")))
    text = encode(file)
    text *= 8000 // len(text) + 1
    user, model, end = encode("<|turn>user\n"), encode("<|turn>model\n"), encode("<turn|>\n")
    thought, closed = encode("<|channel>thought\n"), encode("\n<channel|>")
    call = encode('<|tool_call>call:read{path:<|"|>a.py<|"|>}<tool_call|>')
    opened, answered = encode('<|tool_response>response:read{value:<|"|>'), encode('<|"|>}<tool_response|>')
    history = (*encode("<bos>"), *user, *text[:5800], *end, *user, *text[100:140], *end, *model)
    kept = history
    for step in range(4):  # 300 tokens of thought and 200 of a tool's result each
        kept += (*call, *opened, *text[500 * step : 500 * step + 200], *answered)
    turn = history
    for step in range(4):
        thoughts = text[3000 + 300 * step : 3300 + 300 * step]
        turn += (*thought, *thoughts, *closed, *call, *opened, *text[500 * step : 500 * step + 200], *answered)
    question = (*end, *user, *encode("Now the other file, please."), *end, *model)

    def run(system: System) -> list[Reply]:
        begun = (len(history),)
        replies = [system.complete(Completion(turn, 40, checkpoints=begun))]
        shown = (*kept, *replies[0].ids)
        system.prepare(Completion(shown, 0, checkpoints=begun))
        return [*replies, system.complete(Completion((*shown, *question), 1, checkpoints=(*begun, len(shown))))]

    return Workload("dropped thoughts", {"dropped thoughts": run})


def tool_session(path: Path = DATA / "tool-session.json") -> Workload:
    """A recorded session, replayed: what user and tools said is the recording's, the answers are the system's own.

    So every system goes on from exactly the tokens that it generated, which is the best case of a client that speaks
    token ids; a client of the chat API renders its history anew.
    """
    recorded = json.loads(path.read_text())
    stop = tuple(recorded["stop"])

    def replay(system: System) -> list[Reply]:
        replies: list[Reply] = []
        prompt: tuple[int, ...] = ()
        for step in recorded["steps"]:
            prompt += tuple(step["appended"])
            replies.append(system.complete(Completion(prompt, step["answer"], stop)))
            prompt += replies[-1].ids
        return replies

    return Workload("tool session", {"tool session": replay})
