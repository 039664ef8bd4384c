"""Builds a Session from a Setup; with ``agent.engines`` the only module that names concrete classes.

It runs nothing: what it returns is ready, and the caller closes it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date

from agent.approvals import Approvals
from agent.command_environment import command_environment
from agent.compaction import Compactor, Opening
from agent.confinement import Commands, open_commands
from agent.context import preface, system_prompt
from agent.engine_settings import WANTED_CONTEXT, EnginePlace, EngineSettings
from agent.engines import make_engine
from agent.keeping import Begun, Keeper
from agent.model import Model, ResponseOptions
from agent.model.local import LocalModel, LocalSettings
from agent.models.drafters import with_drafter
from agent.models.fetch import ModelOptions, ensure_model
from agent.models.local import LocalFiles
from agent.models.progress import ProgressCallback, no_progress
from agent.permissions import Mode, Rules
from agent.remembered import Remembered
from agent.resume import resume_conversation, take_over
from agent.run import Limits, RunOptions
from agent.session import Session, SessionParts
from agent.setup import Setup
from agent.toolset import Surroundings, Toolset
from agent.transcript import Transcript
from tools.base import Tool
from tools.registry import close_tools, tools_for
from tools.workspace import Workspace


def _silent(_: str) -> None:
    """Say nothing."""


def _no_load_progress(_: float) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Talk:
    """How to reach the person while a model is fetched and loaded; ``ask`` None: nobody is there."""

    say: Callable[[str], None] = _silent
    ask: Callable[[str], bool] | None = None
    progress: ProgressCallback = no_progress
    on_load: Callable[[float], None] = _no_load_progress


@dataclass(frozen=True, slots=True)
class Wish:
    """What kind of session is wanted.

    ``resume`` is the id of a stored session. ``interactive``: someone answers approvals, and reads
    what the model wrote before the next message. ``mode`` and ``rules``
    replace the setup's. ``system`` replaces the system prompt; ``show_tools`` and ``preface`` False leave tools, and
    instructions and environment, out of what the model reads (``run_tool`` works all the same). ``keep`` False stores
    neither session nor journal. ``commands`` runs the session's commands and stays open; by default it gets its own.
    """

    resume: str | None = None
    interactive: bool = False
    mode: Mode | None = None
    rules: Rules | None = None
    system: str | None = None
    show_tools: bool = True
    preface: bool = True
    keep: bool = True
    commands: Commands | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that is ready, and sentences that the user should read."""

    session: Session
    notices: tuple[str, ...] = field(default=())


async def open_model(setup: Setup, talk: Talk) -> Model:
    """Find or fetch the model and load it; raises ModelError (and its kinds), or EngineError.

    When the task is cancelled, a download ends soon and keeps what it has.
    """
    stopped = threading.Event()
    options = ModelOptions(
        wanted_context=setup.config.context or WANTED_CONTEXT,
        offline=setup.config.offline,
        ask=talk.ask,
        say=talk.say,
        progress=talk.progress,
        cancelled=stopped.is_set,
    )
    try:
        files = await asyncio.to_thread(_find, setup, options)
    except asyncio.CancelledError:
        stopped.set()  # the thread would go on to the end, and the program wait for it
        raise
    model = local_model(files, setup, talk.on_load)
    await model.start()
    return model


def _find(setup: Setup, options: ModelOptions) -> LocalFiles:
    """The files of the model that is wanted, fetched where necessary, and the drafter that goes with them."""
    files = ensure_model(setup.config.model, options)
    return with_drafter(files, setup.config.drafter, lambda name: ensure_model(name, options), options.say)


def local_model(files: LocalFiles, setup: Setup, on_load: Callable[[float], None] = _no_load_progress) -> LocalModel:
    """The model of these files, not loaded yet."""
    config = setup.config
    settings = EngineSettings(
        model=files.target,
        drafter=files.drafter,
        context=config.context,
        kv_type=config.kv_type,
        state=setup.state,
        kv_disk=config.kv_disk,
    )
    place = EnginePlace(in_process=config.in_process, idle_seconds=60 * config.engine_idle_minutes)
    engine = make_engine(settings, place, on_load)
    entry = files.entry
    local = LocalSettings(
        name=entry.name,
        temperature=entry.sampling.temperature,
        top_k=entry.sampling.top_k,
        top_p=entry.sampling.top_p,
        thinking=entry.thinking,
        small=entry.small,
    )
    return LocalModel(engine, local)


def run_options(setup: Setup) -> RunOptions:
    """How the setup wants runs to go."""
    config = setup.config
    response = ResponseOptions(config.response_tokens, config.temperature, config.seed)
    return RunOptions(Limits(config.max_turns, config.max_tokens, config.max_seconds), response)


def open_session(setup: Setup, model: Model, wish: Wish) -> Opened:
    """A new or resumed session on a loaded model; without a usable store it is simply not kept.

    Raises UsageError when the session to resume does not exist or is open elsewhere.
    """
    opened = _Assembly(setup, model, wish).session()
    opened.session.prepare()
    return opened


@asynccontextmanager
async def running_session(setup: Setup, talk: Talk, wish: Wish) -> AsyncGenerator[Opened]:
    """Model and session, closed in the end; raises as ``open_model`` and ``open_session`` do."""
    model = await open_model(setup, talk)
    try:
        opened = open_session(setup, model, wish)
    except BaseException:
        await model.close()
        raise
    try:
        yield opened
    finally:
        await opened.session.close()


class _Assembly:
    """Collects the parts of one session."""

    def __init__(self, setup: Setup, model: Model, wish: Wish) -> None:
        self._setup = setup
        self._model = model
        self._wish = wish
        self._keeper = Keeper(setup.state if wish.keep else None, setup.retention)
        self._notices = list(setup.notices)
        self._commands = wish.commands or open_commands(setup.config.sandbox, setup.root)

    def session(self) -> Opened:
        setup, wish = self._setup, self._wish
        try:
            begun = self._keeper.begin(wish.resume, setup.root, self._model.info.name)
        except BaseException:
            self._keeper.close()
            raise
        workspace = Workspace(setup.root)
        journal = self._keeper.journal(begun.id, workspace)
        approvals = self._approvals()
        tools = tools_for(self._model.info.small)
        surroundings = Surroundings(workspace, journal, command_environment(os.environ), self._commands.runner)
        toolset = Toolset(tools, approvals, surroundings, shown=wish.show_tools)
        opening = Opening(wish.system or system_prompt(), self._preface())
        transcript = self._transcript(opening, toolset, begun)
        return Opened(
            Session(
                SessionParts(
                    id=begun.id,
                    model=self._model,
                    workspace=workspace,
                    transcript=transcript,
                    toolset=toolset,
                    approvals=approvals,
                    compactor=Compactor(self._model, opening, transcript, toolset),
                    journal=journal,
                    preface=opening.preface,
                    store=None if begun.log is None else self._keeper.store,
                    read_ahead=wish.interactive,
                    close=lambda: self._close(tools),
                )
            ),
            (*self._notices, *self._keeper.notices),
        )

    def _approvals(self) -> Approvals:
        setup, wish = self._setup, self._wish
        mode = wish.mode or Mode(setup.config.mode)
        remembered = Remembered(setup.state)
        return Approvals(
            mode,
            wish.rules or setup.rules,
            interactive=wish.interactive,
            remember_always=lambda rule: remembered.allow(setup.root, rule),
            unconfined=self._commands.unconfined,
        )

    def _preface(self) -> str:
        if not self._wish.preface:
            return ""
        return preface(self._setup.cwd, date.today(), bare=self._setup.bare)

    def _transcript(self, opening: Opening, toolset: Toolset, begun: Begun) -> Transcript:
        stored = begun.stored
        if stored is None:
            return Transcript(self._model.open(opening.system, toolset.specs()), begun.log)
        resumed = resume_conversation(self._model, opening, toolset, stored)
        if not resumed.exact:
            self._notices.append("This session was held with another model; it goes on from the text of it.")
        transcript = Transcript(resumed.conversation, begun.log)
        take_over(transcript, stored, resumed)
        return transcript

    async def _close(self, tools: tuple[Tool, ...]) -> None:
        await close_tools(tools)
        if self._wish.commands is None:
            self._commands.close()
        self._keeper.close()
