"""``agent -p``: one prompt, one answer; events to standard error, the answer to standard output.

The loop and the tools are the session's; the formats are ``agent.output``'s.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import select
import stat
import sys
from dataclasses import dataclass

from rich.console import Console

from agent.assembly import Wish, run_options, running_session
from agent.errors import UsageError
from agent.events import AgentEvent, Notice, RunEnd, RunFinished
from agent.interrupts import cancelling
from agent.json_answer import JsonSchema, read_schema
from agent.live_view import LiveView
from agent.output import Outcome, OutputFormat, Writer, make_writer, outcome_of
from agent.run import RunOptions
from agent.session import Session
from agent.session_choice import choose_session
from agent.setup import read_setup
from agent.talk import make_talk
from prompts import load

MAX_STDIN_BYTES = 1_000_000
_LOOK_UP_SECONDS = 0.5
_STDIN_WAIT_SECONDS = 3.0  # for the first byte of a pipe that nobody may ever write to


@dataclass(frozen=True, slots=True)
class Screen:
    """Where events go."""

    view: LiveView
    writer: Writer

    def show(self, event: AgentEvent) -> None:
        """Tell the person and the program that reads us."""
        self.view.handle(event)
        self.writer.handle(event)


def run_print(args: argparse.Namespace) -> int:
    """Answer once; the exit code. Raises AgentError or EngineError for what could not run."""
    prompt = _prompt(args.print or "", sys.stdin.fileno())
    schema = read_schema(args.json_schema) if args.json_schema else None
    return asyncio.run(_run(args, prompt, schema))


async def _run(args: argparse.Namespace, prompt: str, schema: JsonSchema | None) -> int:
    setup = read_setup(args)
    wish = Wish(resume=choose_session(args, setup))
    console = Console(stderr=True, highlight=False)
    with LiveView(console, answers=False) as view:
        screen = Screen(view, make_writer(OutputFormat(args.output_format), sys.stdout))
        async with running_session(setup, make_talk(console, view), wish) as opened:
            screen.show(opened.session.started())
            for notice in opened.notices:
                screen.show(Notice(notice))
            with cancelling(opened.session):
                ended = await answer(opened.session, Job(prompt, run_options(setup), schema), screen)
    screen.writer.finish(ended.outcome)
    return ended.exit_code


@dataclass(frozen=True, slots=True)
class Job:
    """What is wanted: ``schema`` None takes any text as the answer."""

    prompt: str
    options: RunOptions
    schema: JsonSchema | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it."""

    outcome: Outcome
    exit_code: int


async def answer(session: Session, job: Job, screen: Screen) -> Ended:
    """The run, and with a schema a second one when the first answer does not fit it."""
    text = job.prompt if job.schema is None else f"{job.prompt}\n\n{job.schema.request()}"
    finished = await _submit(session, text, job.options, screen)
    if job.schema is None or finished.end is not RunEnd.DONE:
        return Ended(outcome_of(finished), _exit_code(finished, job.options))
    checked = job.schema.check(finished.text)
    if checked.error is not None:
        finished = await _submit(session, job.schema.complaint(checked.error), job.options, screen)
        checked = job.schema.check(finished.text)
    if checked.error is not None:
        screen.show(Notice(f"The answer does not fit the schema: {checked.error}", is_error=True))
        return Ended(Outcome("error_schema", is_error=True, text=finished.text), 1)
    extra = {"structured_output": checked.value}
    return Ended(Outcome("success", is_error=False, text=checked.text, extra=extra), 0)


async def _submit(session: Session, text: str, options: RunOptions, screen: Screen) -> RunFinished:
    finished: RunFinished | None = None
    async for event in session.submit(text, options):
        screen.show(event)
        if isinstance(event, RunFinished):
            finished = event
    assert finished is not None
    return finished


def _exit_code(finished: RunFinished, options: RunOptions) -> int:
    """0 done, 1 stopped before it was done, 2 an error or out of time, 130 interrupted."""
    seconds = options.limits.seconds
    if finished.end is RunEnd.LIMIT and seconds is not None and finished.seconds >= seconds:
        return 2
    codes = {RunEnd.DONE: 0, RunEnd.LIMIT: 1, RunEnd.REPETITION: 1, RunEnd.ERROR: 2, RunEnd.CANCELLED: 130}
    return codes[finished.end]


def _prompt(given: str, stdin: int) -> str:
    """The prompt with what was piped in; raises UsageError when there is neither."""
    piped = _read_piped(stdin, wait=None if not given else _STDIN_WAIT_SECONDS)
    if given and piped:
        return f"{given}\n\n{load('piped', text=piped)}"
    if given or piped:
        return given or piped
    raise UsageError('There is no prompt: give one (agent -p "...") or pipe one in.')


def _read_piped(stdin: int, wait: float | None) -> str:
    """What is piped in, from a pipe or a file; ``wait`` seconds for its beginning (None: for ever)."""
    kind = os.fstat(stdin).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISREG(kind) or stat.S_ISSOCK(kind)):
        return ""
    if not stat.S_ISREG(kind) and not select.select([stdin], [], [], wait)[0]:
        print("agent: nothing came on standard input; going on without it", file=sys.stderr)
        return ""
    content = _read_all(stdin)
    if len(content) > MAX_STDIN_BYTES:
        raise UsageError(f"Standard input is longer than {MAX_STDIN_BYTES:,} bytes; give the path of a file instead.")
    return content.decode("utf-8", errors="replace").strip()


def _read_all(descriptor: int) -> bytes:
    """Everything until the end, or a little more than the limit.

    It looks up now and then: a read that waits in C would not notice a Ctrl-C that came just before it.
    """
    content = bytearray()
    while len(content) <= MAX_STDIN_BYTES:
        if not select.select([descriptor], [], [], _LOOK_UP_SECONDS)[0]:
            continue
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            break
        content += piece
    return bytes(content)
