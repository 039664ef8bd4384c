"""One confined command from its start to what is found after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from tools.commands import Outcome
from tools.launch import Launch
from tools.process import Command
from tools.sandbox.capture import Captured
from tools.sandbox.policy import Policy
from tools.sandbox.watch import OpenWatch

_MOMENT_S = 0.01
_WITHHELD = "[output withheld: the command read {names}, which may hold secrets; run it again without such files]"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is needed to start a command. ``note`` and ``settle`` are called on a thread: the one while the process
    comes up, before the command begins; the other once after its end, also when nothing was noted.

    ``watch`` tells of files that should have been hidden and could not. ``over`` is called when all is over, a moment
    after whoever waits for the command was told.
    """

    launch: Launch
    policy: Policy
    watch: OpenWatch | None
    note: Callable[[], object]
    settle: Callable[[], tuple[Captured, tuple[str, ...]]]
    over: Callable[[], object] = lambda: None


class Confined:
    """A RunningCommand."""

    def __init__(self, prepared: Prepared, command: Command) -> None:
        self._prepared = prepared
        self._command = command
        self._settled: tuple[Captured, tuple[str, ...]] | None = None

    @classmethod
    async def start(cls, prepared: Prepared, emit: Callable[[str], None] | None) -> Confined:
        """Start it; raises ToolError when it could not be confined, or not be started."""
        noted: list[asyncio.Future[object]] = []

        def note() -> asyncio.Future[object]:
            noted.append(asyncio.get_running_loop().run_in_executor(None, prepared.note))
            return noted[0]

        try:
            # Live output could show what must not be read, where that is only known afterwards.
            emit = None if prepared.watch is not None else emit
            command = await Command.start(prepared.launch, emit, prepared.policy.limits, note)
        except BaseException:
            if noted:
                await asyncio.wait(noted)
            if prepared.watch is not None:
                prepared.watch.close()
            await asyncio.shield(asyncio.to_thread(prepared.settle))
            raise
        return cls(prepared, command)

    @property
    def command(self) -> Command:
        """The process."""
        return self._command

    @property
    def may_withhold(self) -> bool:
        """Where secrets cannot be hidden, only the end tells whether one was read."""
        return self._prepared.watch is not None

    def output(self) -> str:
        """The output so far, or that it is withheld."""
        return self._shown(self._command.output())

    async def finish(self, timeout_s: float, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Wait for the end and look at what it left."""
        try:
            completed = await self._command.finish(timeout_s, cancelled)
        finally:
            captured, notices = await asyncio.shield(self._settle())
        completed = replace(completed, output=self._shown(completed.output))
        return Outcome(completed, captured.changes, captured.lost, notices, captured.watched)

    async def end(self) -> tuple[str, ...]:
        """Kill it and look at what it left."""
        await self._command.kill()
        return (await asyncio.shield(self._settle()))[1]

    async def _settle(self) -> tuple[Captured, tuple[str, ...]]:
        if self._settled is None:
            self._settled = (Captured(), ())
            if self._prepared.watch is not None:
                self._prepared.watch.close()
            self._settled = await asyncio.to_thread(self._prepared.settle)
            asyncio.get_running_loop().call_later(_MOMENT_S, self._prepared.over)
        return self._settled

    def _shown(self, output: str) -> str:
        watch = self._prepared.watch
        opened = () if watch is None else watch.opened()
        return _WITHHELD.format(names=", ".join(path.name for path in opened)) if opened else output
