"""The command ``agent fix``: arguments to a FixJob, events to the screen, the outcome to an exit code.

How a repair goes is in ``agent.fix``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from rich.console import Console

from agent.assembly import Talk, Wish, command_environment, open_model, open_session
from agent.confinement import Commands, open_commands
from agent.diffs import file_changed
from agent.engine_settings import WANTED_CONTEXT
from agent.errors import UsageError
from agent.events import AgentEvent, Notice
from agent.evidence import Sources
from agent.fix import FixJob, FixOptions, FixOutcome, OpenedSession
from agent.fix_summary import summarise
from agent.live_view import LiveView
from agent.model import Model
from agent.models.fetch import ModelOptions, is_here, require_known
from agent.output import Outcome, OutputFormat, Writer, make_writer
from agent.permissions import Mode, Protected, Rules
from agent.session import Session
from agent.setup import Setup, read_setup
from agent.talk import make_talk
from agent.test_command import TestCommand
from agent.test_paths import TEST_PATTERNS, is_test_path
from prompts import load
from tools.commands import Access
from tools.git import find_root

DEFAULT_SECONDS = 900.0
DEFAULT_ATTEMPTS = 120  # many are a single line


@dataclass(slots=True)
class _Opened:
    """What has to be closed in the end; ``loading`` is a model that is loaded while the tests run.

    ``keep_model``: it was there before, and stays.
    """

    loading: asyncio.Task[Model] | None = None
    model: Model | None = None
    session: Session | None = None
    commands: Commands | None = None
    keep_model: bool = False

    async def close(self) -> None:
        if self.loading is not None and self.model is None:
            # Nobody waited for it: its failure is nobody's, and a thread in the middle of a load ends with us.
            self.loading.cancel()
            loaded = (await asyncio.gather(self.loading, return_exceptions=True))[0]
            self.model = None if isinstance(loaded, BaseException) else loaded
        if self.session is not None:
            await self.session.close(keep_model=self.keep_model)
        elif self.model is not None and not self.keep_model:
            await self.model.close()
        if self.commands is not None:
            self.commands.close()


class FixCommand:
    """One ``agent fix``; ``run`` gives its outcome. A ``model`` that is given is loaded already, and stays so."""

    def __init__(self, args: argparse.Namespace, setup: Setup, talk: Talk, model: Model | None = None) -> None:
        self._args = args
        self._setup = setup
        self._talk = talk
        self._opened = _Opened(model=model, keep_model=model is not None)

    @property
    def session_id(self) -> str | None:
        """The session that the attempts were made in, if it came to that."""
        return None if self._opened.session is None else self._opened.session.id

    async def run(self, emit: Callable[[AgentEvent], None]) -> FixOutcome:
        """Repair; raises AgentError or EngineError. The session is closed afterwards."""
        setup, command = self._setup, self._args.test
        if find_root(setup.cwd) is None:
            raise UsageError(f"{setup.cwd} is not in a git repository; `git init` makes it one.")
        config = setup.config
        if self._opened.model is None:
            require_known(config.model, ModelOptions())  # before a long test run
            if is_here(config.model, ModelOptions(wanted_context=config.context or WANTED_CONTEXT)):
                self._opened.loading = asyncio.create_task(open_model(self._setup, self._talk))
        options = FixOptions(
            command=command,
            complaint=self._args.complaint or "",
            seconds=config.max_seconds or DEFAULT_SECONDS,
            attempts=self._args.attempts or config.max_turns or DEFAULT_ATTEMPTS,
            tokens=config.max_tokens,
            seed=config.seed,
            keep=self._args.keep,
            dry_run=self._args.dry_run,
            stated=not self._args.only_model,
        )
        tests = self._tests(command)
        job = FixJob(options, self._sources, tests.run, lambda enough: self._open(enough, emit), emit)
        try:
            return await job.run()
        finally:
            await self._opened.close()

    def _tests(self, command: str) -> TestCommand:
        """The judge; it runs code that the model has changed, so it is confined like every other command."""
        self._opened.commands = commands = open_commands(self._setup.config.sandbox, self._setup.root)
        if commands.unconfined:
            raise UsageError(f"The tests cannot be run: {commands.unconfined}")
        access = Access(network=self._args.network)
        environment = command_environment(os.environ)
        return TestCommand(command, self._setup.cwd, environment, self._args.test_timeout, commands.runner, access)

    def _sources(self) -> Sources:
        return Sources(self._setup.root, is_test_path)

    async def _open(self, enough: bool, emit: Callable[[AgentEvent], None]) -> OpenedSession:
        model = self._opened.model or await (self._opened.loading or open_model(self._setup, self._talk))
        self._opened.model = model
        direct = enough and model.info.small
        wish = Wish(mode=Mode.ACCEPT_EDITS, rules=self._rules(), commands=self._opened.commands)
        if direct:
            wish = replace(wish, system=load("fix/system"), show_tools=False, preface=False)
        opened = open_session(self._setup, model, wish)
        self._opened.session = opened.session
        emit(opened.session.started())
        for notice in opened.notices:
            emit(Notice(notice))
        return OpenedSession(opened.session, direct, opened.session.count, model.preferences)

    def _rules(self) -> Rules:
        rules = self._setup.rules.allowing(self._args.test)
        if self._args.allow_test_edits:
            return rules
        reason = "the tests are the judge here and stay as they are (--allow-test-edits allows it)"
        return rules.protecting(*(Protected(pattern, reason) for pattern in TEST_PATTERNS))


async def run_fix(args: argparse.Namespace) -> int:
    """``agent fix``; the exit code: 0 green, 1 not. Raises AgentError or EngineError for what could not run."""
    setup = read_setup(args)
    writer = make_writer(OutputFormat(args.output_format), sys.stdout)
    console = Console(stderr=True, highlight=False)
    # What an answer comes to is shown as a diff; the answer itself only while it is written.
    with LiveView(console, answers=False) as view:

        def emit(event: AgentEvent) -> None:
            view.handle(event)
            writer.handle(event)

        outcome = await FixCommand(args, setup, make_talk(console, view)).run(emit)
    _report(outcome, args, writer, console)
    return 0 if outcome.green else 1


def _report(outcome: FixOutcome, args: argparse.Namespace, writer: Writer, console: Console) -> None:
    diff = "".join(file_changed(change).diff for change in outcome.changes)
    text = summarise(outcome, dry_run=args.dry_run)
    extra: dict[str, object] = {
        "attempts": outcome.attempts,
        "applied": outcome.applied,
        "diff": diff,
        "files": [change.path for change in outcome.changes],
        "tests": {
            "command": outcome.first.command,
            "green": outcome.green,
            "before": {"passed": outcome.first.passed, "failed": outcome.first.failed},
            "after": {"passed": outcome.best.passed, "failed": outcome.best.failed},
        },
    }
    if args.dry_run and args.output_format == OutputFormat.TEXT.value and diff:
        # The diff is the answer, so that it can be given to `git apply`.
        console.print(text, markup=False)
        writer.finish(Outcome("success" if outcome.green else "error_tests_red", not outcome.green, diff))
        return
    writer.finish(Outcome("success" if outcome.green else "error_tests_red", not outcome.green, text, extra))
