"""A window to be measured, run by ``bench.tui`` under a pseudo-terminal: a real model, a scripted stream, or a long
session. What it finds goes as JSON into a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from agent.assembly import Talk, open_model
from agent.cli import build_parser
from agent.events import AgentEvent, RunFinished, TextStreamed
from agent.messages import AssistantMessage, Message, ToolCall, ToolResultMessage, ToolSpec, Usage, UserMessage
from agent.model import (
    Dump,
    Model,
    ModelEvent,
    ModelInfo,
    PromptRead,
    ResponseFinished,
    ResponseOptions,
    TextAdded,
    TokenScore,
)
from agent.setup import Setup
from agent.store import SessionStore
from agent.transcript import Snapshot
from tui.app import AgentApp, run_app
from tui.host import Host

PROMPT = "Write a Python module with a class for a linked list and ten methods, with docstrings. Only code."
STREAM_SECONDS = 12.0
PIECES_A_SECOND = 500
MESSAGES = 2_000
_TEXT = Path(__file__).parent.parent.joinpath("agent", "session.py").read_text(encoding="utf-8")
STREAMED = f"# A stream\n\nSome **text** with `code`, then a file:\n\n```python\n{_TEXT}\n```\n\n- one\n- two\n\n" * 3


class StreamingModel:
    """Says ``STREAMED`` at a fixed pace; holds nothing."""

    def __init__(self) -> None:
        self.info = ModelInfo("stream", 32_768, thinks=False, small=False)

    async def start(self) -> None:
        """Nothing to load."""

    def open(self, system: str, tools: Sequence[ToolSpec]) -> StreamingConversation:  # noqa: ARG002 - not read
        return StreamingConversation()

    def restore(self, dumped: Dump) -> StreamingConversation:  # noqa: ARG002 - nothing is kept
        return StreamingConversation()

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:  # noqa: ARG002 - not read
        """Not asked for here: every word is as likely as every other."""
        return [[TokenScore(word, -1.0) for word in text.split()] for text in texts]

    async def shares(self, questions: Sequence[str], answers: Sequence[str]) -> list[list[float]]:
        """Not asked for here: every answer is as good as every other."""
        return [[1 / len(answers)] * len(answers) for _ in questions]

    async def preferences(self, prefix: str, base: str, variants: Sequence[str]) -> list[float]:  # noqa: ARG002 - not read
        """Not asked for here either."""
        return [0.0 for _ in variants]

    async def close(self) -> None:
        """Nothing to free."""


class StreamingConversation:
    """One conversation with it."""

    token_count = 1_000

    def add_user(self, text: str) -> None:
        """Read nothing."""

    def add_tool_results(self, results: Sequence[ToolResultMessage]) -> None:
        """Read nothing."""

    async def respond(self, options: ResponseOptions) -> AsyncIterator[ModelEvent]:  # noqa: ARG002 - always the same
        yield PromptRead(1, 1, 999, 0.0)
        began, said = time.monotonic(), 0
        while (passed := time.monotonic() - began) < STREAM_SECONDS:
            while said < passed * PIECES_A_SECOND:
                yield TextAdded(STREAMED[4 * said % len(STREAMED) :][:4])
                said += 1
            await asyncio.sleep(0.002)
        yield ResponseFinished(
            AssistantMessage("m", "", usage=Usage(decoded_tokens=said, decode_ms=1000 * STREAM_SECONDS))
        )

    def mark(self) -> int:
        return 0

    def rewind(self, mark: int) -> None:
        """Nothing is kept."""

    def count(self, text: str) -> int:
        return len(text) // 4

    def prepare(self, beginning: str = "") -> None:
        """Read nothing."""

    def expect_results(self, results: Sequence[ToolResultMessage], partial: ToolResultMessage | None = None) -> None:
        """Read nothing."""

    def dump(self, since: int = 0) -> Dump:  # noqa: ARG002 - always the same
        return Dump("{}", ())


def main() -> None:
    kind, result, *flags = sys.argv[1:]
    args = build_parser().parse_args(flags)
    found = asyncio.run({"model": _window, "stream": _window, "long": _long}[kind](kind, args))
    Path(result).write_text(json.dumps(found), encoding="utf-8")


class _Measured(AgentApp):
    """Leaves when its run has ended, with what it cost."""

    found: dict[str, Any]
    began = (0.0, 0.0)

    def __init__(self, host: Host) -> None:
        self.times: list[float] = []  # at which pieces of the answer came
        super().__init__(host)

    def begin(self) -> None:
        self.began = (time.monotonic(), _cpu())

    def _changed(self, event: AgentEvent | None) -> None:
        if isinstance(event, TextStreamed):
            self.times.append(time.monotonic())
        super()._changed(event)

    def run_ended(self, event: RunFinished) -> None:
        wall, cpu = time.monotonic() - self.began[0], _cpu() - self.began[1]
        self.found = {"tps": event.usage.decode_tps, "cpu": cpu / wall, "times": self.times}
        self.call_later(self.action_quit)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _window(kind: str, args: argparse.Namespace) -> dict[str, Any]:
    async def opener(setup: Setup, talk: Talk) -> Model:
        return StreamingModel() if kind == "stream" else await open_model(setup, talk)

    app = _Measured(Host(args, opener))

    async def go() -> None:
        while app.conductor.session is None:  # noqa: ASYNC110 - a look from outside
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        app.begin()
        await app.conductor.submit(PROMPT)

    job = asyncio.create_task(go())
    await run_app(app)
    job.cancel()
    return app.found


async def _long(_: str, args: argparse.Namespace) -> dict[str, Any]:
    """Open a stored session of 2,000 messages, then go through it page by page."""
    host = Host(args, _streaming)
    store = SessionStore(host.setup.state)
    store.create("long", host.setup.root, "stream").append(_messages(), [0] * MESSAGES, Snapshot(Dump("{}", ()), 0))
    store.close()
    args.resume = "long"
    app = AgentApp(Host(args, _streaming))
    found: dict[str, float] = {}

    async def go() -> None:
        began = time.perf_counter()
        while app.conductor.session is None or not app.main.transcript.virtual_size.height:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        found["open"] = time.perf_counter() - began
        await asyncio.sleep(0.5)
        found["frame"] = max([await _page(app, pages) for pages in [-1] * 150 + [1] * 60 + [-10] * 40])
        found["rows"] = app.main.transcript.virtual_size.height
        app.call_later(app.action_quit)

    job = asyncio.create_task(go())
    await run_app(app)
    job.cancel()
    return found


async def _page(app: AgentApp, pages: int) -> float:
    """Seconds from a scroll to the picture of it."""
    view, done = app.main.transcript, asyncio.Event()
    app.collector.key()  # as the key that turns a page does
    began = time.perf_counter()
    view.scroll_relative(y=pages * 28, animate=False)
    app.main.call_after_refresh(done.set)
    await done.wait()
    took = time.perf_counter() - began
    await asyncio.sleep(0.01)
    return took


async def _streaming(_setup: Setup, _talk: Talk) -> Model:
    return StreamingModel()


def _messages() -> list[Message]:
    pieces = [_TEXT[at : at + 900] for at in range(0, len(_TEXT) - 900, 150)]
    messages: list[Message] = []
    while len(messages) < MESSAGES:
        number = len(messages)
        body = pieces[number % len(pieces)]
        call = ToolCall(f"c{number}", "bash", {"command": f"grep -n {number} *"})
        messages += [
            UserMessage(f"u{number}", f"Question {number}: what does this do?\n{body[:200]}"),
            AssistantMessage(
                f"a{number}", f"I look.\n\n```python\n{body}\n```\n\n- it is *this*\n- and `that`", "", (call,)
            ),
            ToolResultMessage(call.id, "bash", body),
            AssistantMessage(f"b{number}", f"So **{number}** it is: " + body.replace("\n", " ")),
        ]
    return messages[:MESSAGES]


if __name__ == "__main__":
    main()
