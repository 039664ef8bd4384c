"""No damaged model ends a program that uses it: an answer comes, or one sentence that names the file."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from agent.engine_hosts import end_hosts, hosted_engine
from agent.engine_settings import EngineSettings
from inference.engine import Engine
from inference.errors import EngineLost, ModelLoadError
from inference.request import Request
from tests.agent.damaged_models import PROMPT, MakeEngine, hear, hear_of_many
from tests.constructed_gemma4 import Shape, target

pytestmark = pytest.mark.slow


@pytest.fixture
def engine_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[MakeEngine]:
    # Not pytest's folder: the path of a socket has to be short.
    folder = Path(tempfile.mkdtemp(prefix="hosts-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))

    def engine(model: Path) -> Engine:
        settings = EngineSettings(model=model, context=2048, state=tmp_path / "state", kv_disk=0)
        return hosted_engine(settings, 60.0, lambda _: None)

    try:
        yield engine
    finally:
        assert end_hosts()[1] == []
        shutil.rmtree(folder)


def test_a_damaged_model_is_named_or_answers(tmp_path: Path, engine_of: MakeEngine) -> None:
    heard = asyncio.run(hear_of_many(12, target(Shape()).read_bytes(), tmp_path, engine_of))
    told = [each for each in heard if each.sentence is not None]
    assert len(told) > 3
    assert [each for each in told if not each.names_file] == []


def test_a_model_that_is_cut_while_it_runs_ends_its_process_and_is_named(tmp_path: Path, engine_of: MakeEngine) -> None:
    path = tmp_path / "cut.gguf"
    shutil.copy(target(Shape()), path)

    async def use() -> None:
        engine = engine_of(path)
        await engine.start()
        os.truncate(path, 8192)
        with pytest.raises(EngineLost):
            await read_all(engine, "when it was cut")
        with pytest.raises(ModelLoadError, match=r"cut\.gguf is truncated"):
            await read_all(engine, "and after")
        await engine.close()

    asyncio.run(use())


def test_a_model_that_is_removed_while_it_runs_goes_on_and_is_missed_at_the_next_start(
    tmp_path: Path, engine_of: MakeEngine
) -> None:
    path = tmp_path / "removed.gguf"
    shutil.copy(target(Shape()), path)

    async def use() -> None:
        engine = engine_of(path)
        await engine.start()
        path.unlink()
        await read_all(engine, "after")
        await engine.close()

    asyncio.run(use())
    assert end_hosts()[1] == []
    heard = asyncio.run(hear("removed", path, engine_of))
    assert heard.names_file, heard.sentence


async def read_all(engine: Engine, name: str) -> None:
    async for _ in engine.submit(Request(name, PROMPT, 4)):
        pass
