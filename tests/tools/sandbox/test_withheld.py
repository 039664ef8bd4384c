"""Where a secret file cannot be hidden, nothing that a command printed after reading one is shown, by any way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from agent.command_environment import command_environment
from tests.fakes.confined import Confined, folder_at_home
from tests.fakes.hands import MemoryRecorder
from tools.base import ToolContext
from tools.bash import BashTool
from tools.sandbox.policy import Tier
from tools.workspace import Workspace

_READ_AND_WAIT = "cat .env; sleep 30"


@pytest.fixture
def confined() -> Iterator[Confined]:
    with folder_at_home() as workspace:
        (workspace / ".env").write_text("TOKEN=abcdefgh\n")
        made = Confined(Tier.LANDLOCK, workspace)
        yield made
        made.sandbox.close()


def run(confined: Confined, act: Callable[[Callable[..., Awaitable[str]]], Awaitable[None]]) -> list[str]:
    """Let ``act`` call the bash tool; the beginnings of results that were told before the end."""
    settled: list[str] = []

    async def go() -> None:
        tool = BashTool()
        environment = command_environment(os.environ)
        context = ToolContext(
            Workspace(confined.workspace),
            MemoryRecorder(),
            lambda _: None,
            lambda: False,
            environment,
            confined.sandbox,
            settled=settled.append,
        )

        async def call(**arguments: object) -> str:
            return (await tool.run(tool.arguments.model_validate(arguments), context)).text

        try:
            await act(call)
        finally:
            await tool.close()

    asyncio.run(go())
    return settled


def test_a_background_job_shows_no_output_after_it_read_a_secret(confined: Confined) -> None:
    async def act(call: Callable[..., Awaitable[str]]) -> None:
        first = await call(command=_READ_AND_WAIT, background=True)
        looked = await call(command="", job="1")
        ended = await call(command="", job="1", kill=True)
        again = await call(command="", job="1")
        for said in (first, looked, ended, again):
            assert "abcdefgh" not in said
            assert "withheld" in said

    run(confined, act)


def test_nothing_is_settled_of_an_output_that_may_be_withheld(confined: Confined) -> None:
    lines = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done"

    async def act(call: Callable[..., Awaitable[str]]) -> None:
        assert "withheld" in await call(command=f"{lines}; sleep 2; cat .env")

    assert run(confined, act) == []


def test_a_job_that_reads_no_secret_shows_its_output(confined: Confined) -> None:
    async def act(call: Callable[..., Awaitable[str]]) -> None:
        assert "fine" in await call(command="echo fine; sleep 30", background=True)

    run(confined, act)
    assert not list(Path(confined.workspace).glob("nohup*"))
