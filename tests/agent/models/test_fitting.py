"""Which drafter a model gets, and how large a context fits with it; on constructed models, loaded in the last test."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import shutil
import sys
from pathlib import Path

import pytest

from agent.assembly import Talk, open_model
from agent.engine_settings import EngineSettings
from agent.errors import ModelError, UnknownModel
from agent.local_engine import Fit, fit
from agent.model import ResponseOptions
from agent.models.catalog import load_catalog
from agent.models.drafters import assistant_beside, with_drafter
from agent.models.fetch import from_path
from agent.models.local import LocalFiles
from agent.setup import read_setup
from inference.errors import NotEnoughMemory
from tests.constructed_gemma4 import Shape, drafter, target

GIB = 1 << 30
MIB = 1 << 20


@dataclasses.dataclass
class Folder:
    """A folder of models: a target, its drafter, and what else is put there."""

    path: Path
    said: list[str]

    def put(self, source: Path, name: str) -> Path:
        return Path(shutil.copy(source, self.path / name))

    def files(self) -> LocalFiles:
        return from_path(self.put(target(), "gemma-it.gguf"), load_catalog())

    def chosen(self, files: LocalFiles, wanted: str = "auto") -> Path | None:
        return with_drafter(files, wanted, nothing, self.said.append).drafter


def nothing(name: str) -> LocalFiles:
    raise UnknownModel(name)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, [])


def test_an_assistant_in_the_same_folder_is_used_unless_none_is_wanted(folder: Folder) -> None:
    files = folder.files()
    assert folder.chosen(files) is None
    path = folder.put(drafter(), "mtp-gemma-it.gguf")
    assert folder.chosen(files) == path
    assert folder.chosen(files, "none") is None
    assert folder.said == []


def test_an_assistant_for_another_width_is_not_taken_and_of_two_that_fit_neither(folder: Folder) -> None:
    files = folder.files()
    folder.put(drafter(Shape(width=128)), "mtp-large.gguf")
    (folder.path / "mtp-damaged.gguf").write_bytes(b"GGUF")
    assert assistant_beside(files.target) is None
    one = folder.put(drafter(), "MTP-Gemma.gguf")
    assert assistant_beside(files.target) == one
    folder.put(drafter(), "gemma-assistant.gguf")
    assert assistant_beside(files.target) is None


def test_the_models_own_drafter_is_left_out_with_a_sentence_when_it_is_another_models(folder: Folder) -> None:
    files = dataclasses.replace(folder.files(), drafter=folder.put(drafter(Shape(width=128)), "large.gguf"))
    assert folder.chosen(files) is None
    assert len(folder.said) == 1
    assert "left out" in folder.said[0]
    assert "width 128" in folder.said[0]


def test_a_drafter_that_was_asked_for_is_refused_when_it_is_another_models(folder: Folder) -> None:
    files = folder.files()
    other = folder.put(drafter(Shape(width=128)), "other.gguf")
    with pytest.raises(ModelError, match="width 128"):
        folder.chosen(files, str(other))
    with pytest.raises(ModelError, match=r"no-such\.gguf"):
        folder.chosen(files, str(folder.path / "no-such.gguf"))
    with pytest.raises(UnknownModel):
        folder.chosen(files, "no-such-model")


def test_a_model_of_the_same_vocabulary_may_be_named_as_a_drafter(folder: Folder) -> None:
    files = folder.files()
    small = folder.put(target(Shape(layers=2)), "small.gguf")
    assert folder.chosen(files, str(small)) == small
    named = with_drafter(files, "small", lambda _: LocalFiles(small, None, files.entry), folder.said.append)
    assert named.drafter == small


def smallest_fit(settings: EngineSettings) -> tuple[int, Fit]:
    """The least memory, in steps of a MiB, in which the model runs, and how."""
    for available in range(300 * MIB, GIB, MIB):
        try:
            return available, fit(settings, available)
        except NotEnoughMemory:
            pass
    raise AssertionError("a model of a megabyte runs in a gigabyte")


def test_where_only_the_model_fits_the_drafter_is_left_out(folder: Folder) -> None:
    small = folder.put(target(Shape(layers=2)), "small.gguf")
    alone = EngineSettings(model=folder.files().target, state=folder.path)
    both = alone.model_copy(update={"drafter": small})
    available, least = smallest_fit(alone)
    assert fit(both, available) == Fit(least.n_ctx, None)
    assert fit(both, GIB) == Fit(32_768, small)
    assert fit(both, available + 12 * MIB).n_ctx < fit(alone, available + 12 * MIB).n_ctx


def test_a_quantised_kv_cache_leaves_room_for_a_larger_context(folder: Folder) -> None:
    plain = EngineSettings(model=folder.files().target, state=folder.path)
    available = smallest_fit(plain)[0] + 4 * MIB
    assert fit(plain.model_copy(update={"kv_type": "q8_0"}), available).n_ctx > fit(plain, available).n_ctx


@pytest.mark.skipif(sys.platform != "linux", reason="what is loaded is read from /proc")
@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_session_loads_the_assistant_that_is_beside_the_model(folder: Folder, kv_type: str) -> None:
    files = folder.files()
    folder.put(drafter(), "mtp-gemma-it.gguf")
    flags = argparse.Namespace(model=str(files.target), context=1024, kv_type=kv_type, in_process=True)
    setup = read_setup(flags, {"HOME": str(folder.path)}, folder.path)

    def is_mapped(name: str) -> bool:
        return name in Path("/proc/self/maps").read_text()

    async def main() -> bool:
        """Whether the assistant's weights are in the memory of the process while the model answers."""
        model = await open_model(setup, Talk())
        try:
            conversation = model.open("be brief", ())
            conversation.add_user("say it")
            options = ResponseOptions(max_tokens=60, temperature=0.0)
            assert [event async for event in conversation.respond(options)]
            return is_mapped("mtp-gemma-it.gguf")
        finally:
            await model.close()

    assert asyncio.run(main())
