"""Claim: `agent fix` repairs more than the same model asked once with file and failure in one prompt.

For each task (a buggy function with its tests, in a git repository of its own) both are done, one after the other, on
the same machine: the single question through the engine at temperature 0, then the real command line. Prints a line
for each task and the claims in the end.

    python -m bench.fix [--tasks 30] [--first 0] [--seconds 120] [--model NAME] [--data FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.assembly import Talk, open_model
from agent.messages import Usage
from agent.model import Model, ResponseFinished, ResponseOptions
from agent.proposal import code_blocks, propose
from agent.setup import read_setup
from agent.test_command import TestCommand
from bench.buggy_repositories import DEFAULT_DATA, Task, agent_fix, load
from bench.claims import report

TESTS = f"{sys.executable} -m pytest -q"
SYSTEM = "You are a careful Python programmer."
QUESTION = """solution.py:
```python
{source}```

The command `pytest -q` fails:
```
{output}
```

Fix the bug in solution.py. Answer with the whole corrected file in one Python code block."""


@dataclass(frozen=True, slots=True)
class Result:
    """One way on one task; seconds are wall-clock, tokens as the engine counted them."""

    task: str
    way: str
    solved: bool
    seconds: float
    prefilled: int
    generated: int
    attempts: int = 1


async def ask_once(task: Task, root: Path, model: Model) -> Result:
    """The single question, and its answer's code in place of the file's."""
    tests = TestCommand(TESTS, root, dict(os.environ), timeout=60)
    began = time.monotonic()
    first = await tests.run()
    conversation = model.open(SYSTEM, ())
    conversation.add_user(QUESTION.format(source=task.source, output=first.output.strip()))
    text, usage = "", Usage()
    async for event in conversation.respond(ResponseOptions(1024, temperature=0.0, tool_choice="none")):
        if isinstance(event, ResponseFinished):
            text, usage = event.message.text, event.message.usage
    write_answer(root / "solution.py", text, task)
    done = await tests.run()
    seconds = time.monotonic() - began
    return Result(task.name, "asked once", done.green, seconds, usage.prefilled_tokens, usage.decoded_tokens)


def write_answer(path: Path, answer: str, task: Task) -> None:
    """The answer's definitions into the file; or, where none fits, its longest block as the file."""
    source = path.read_text()
    edits = propose(answer, {path.name: source})
    for edit in edits:
        source = source.replace(edit.old, edit.new, 1)
    if not edits and (blocks := [block for block in code_blocks(answer) if f"def {task.entry_point}" in block]):
        source = max(blocks, key=len)
    path.write_text(source)


def run_agent(task: Task, root: Path, args: argparse.Namespace) -> Result:
    """``agent fix`` as a user runs it."""
    limits = ["--seed", str(args.seed), "--max-seconds", str(args.seconds)]
    result, seconds = agent_fix(root, TESTS, "--in-process", "--model", args.model, *limits)
    stats, usage = result["stats"], result["usage"]
    green = asyncio.run(TestCommand(TESTS, root, dict(os.environ), timeout=60).run()).green
    if green != (result["exit_code"] == 0):
        raise SystemExit(f"{task.name}: the exit code {result['exit_code']} is not what the tests say.")
    prefilled, generated = stats["prefilled_tokens"], usage["output_tokens"]
    return Result(task.name, "agent fix", green, seconds, prefilled, generated, result["attempts"])


async def measure(args: argparse.Namespace) -> list[Result]:
    """Both ways on every task, interleaved."""
    tasks = load(args.data)[args.first : args.first + args.tasks]
    model: Model | None = None
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, task in enumerate(tasks):
            roots = [Path(folder) / f"{number}-{way}" for way in ("once", "agent")]
            for root in roots:
                root.mkdir()
                task.write(root)
            if model is None:
                model = await open_model(
                    read_setup(Namespace(model=args.model, context=8192, in_process=True), cwd=roots[0]), Talk()
                )
            results.append(await ask_once(task, roots[0], model))
            print(json.dumps(asdict(results[-1])), flush=True)
            results.append(await asyncio.to_thread(run_agent, task, roots[1], args))
            print(json.dumps(asdict(results[-1])), flush=True)
    if model is not None:
        await model.close()
    return results


def main() -> int:
    """Measure and print the claims; exit code 1 when one does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=30)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    args = parser.parse_args()
    results = asyncio.run(measure(args))
    solved = {way: sum(r.solved for r in results if r.way == way) for way in ("asked once", "agent fix")}
    for way in solved:
        mine = [r for r in results if r.way == way]
        for what in ("seconds", "prefilled", "generated"):
            report(f"{way}: mean {what} a task", sum(getattr(r, what) for r in mine) / len(mine), what)
        report(f"{way}: solved of {len(mine)}", solved[way], "tasks")
    held = report("agent fix solves more than asking once", solved["agent fix"] - solved["asked once"], "tasks", "> 0")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
