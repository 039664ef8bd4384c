"""A window on a scripted model, with real settings, store and tools in temporary folders."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.pilot import Pilot

from agent.assembly import Talk
from agent.cli import build_parser
from agent.model import Model
from agent.setup import Setup
from tests.fakes.scripted_model import Script, ScriptedModel
from tui.app import AgentApp
from tui.host import Host, OpenModel
from tui.view_state import ViewState


@dataclass
class Window:
    """An open application and the pilot that presses its keys."""

    app: AgentApp
    pilot: Pilot[int]
    root: Path
    model: ScriptedModel

    @property
    def state(self) -> ViewState:
        return self.app.state

    @property
    def screen_text(self) -> str:
        """What the screen shows, as plain text."""
        return "\n".join(self.rows)

    @property
    def rows(self) -> list[str]:
        strips = self.app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
        return [strip.text.rstrip() for strip in strips]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def type(self, text: str) -> None:
        self.app.main.prompt.insert(text)
        await self.settle()

    async def say(self, text: str) -> None:
        """Type a message and send it."""
        await self.type(text)
        await self.press("enter")

    async def settle(self) -> None:
        """Let messages, frames and jobs come to rest, as far as they do."""
        for _ in range(3):
            for _ in range(10):
                await asyncio.sleep(0)
            self.app._frame()  # pyright: ignore[reportPrivateUsage] - instead of waiting for the clock
            await asyncio.sleep(0.002)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that takes a moment."""
        for _ in range(600):
            await self.settle()
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"it never came about; the screen shows:\n{self.screen_text}")

    async def idle(self) -> None:
        await self.until(lambda: not self.state.running and self.app.loading_state is None)


@dataclass
class Door:
    """Opens windows on one repository and one state folder."""

    root: Path
    state: Path
    monkeypatch: pytest.MonkeyPatch

    def host(self, model: ScriptedModel, *arguments: str, opener: OpenModel | None = None) -> Host:
        """``opener`` stands in for the one that gives ``model`` at once."""

        async def at_once(_setup: Setup, _talk: Talk) -> Model:
            await model.start()
            return model

        self.monkeypatch.setenv("XDG_STATE_HOME", str(self.state))
        self.monkeypatch.setenv("XDG_CONFIG_HOME", str(self.state / "config"))
        named = () if opener else ("--model", "scripted")
        args: argparse.Namespace = build_parser().parse_args([*named, *arguments])
        return Host(args, opener or at_once, cwd=self.root)

    @asynccontextmanager
    async def open(
        self,
        script: Sequence[Script] = (),
        *arguments: str,
        size: tuple[int, int] = (100, 30),
        trusted: bool = True,
        small: bool = False,
    ) -> AsyncGenerator[Window]:
        model = ScriptedModel(script, small=small)
        host = self.host(model, *(("--trust",) if trusted else ()), *arguments)
        async with self.show(host, model, size) as window:
            if trusted:
                await window.until(lambda: window.app.conductor.session is not None)
                await window.settle()
            yield window

    @asynccontextmanager
    async def show(self, host: Host, model: ScriptedModel, size: tuple[int, int] = (100, 30)) -> AsyncGenerator[Window]:
        """A window on any host, not waited for."""
        app = AgentApp(host)
        async with app.run_test(size=size) as pilot:
            yield Window(app, pilot, self.root, model)
        await host.close()
