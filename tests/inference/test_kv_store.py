"""KV sequences on disk: what is found again, what damage does, what the budget costs; on real folders."""

from __future__ import annotations

import os
import random
import stat
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.backend import BackendInfo
from inference.kv_file import DamagedKvFile, KvKey, SavedSequence, Window, read_kv_file, read_kv_head, write_kv_file
from inference.kv_store import KvStore, StoreOptions

INFO = BackendInfo("m", "m", 4096, 64, 1000, 0, 1, 0, 32, "layout 1")
WINDOWED = replace(INFO, n_swa=16, layout="layout 2")
KEY = KvKey("model", "layout 1")


def sequence(
    tokens: Sequence[int], windows: Sequence[int] = (), size: int = 1000, *, static: bool = False
) -> SavedSequence:
    state = np.frombuffer(random.Random(len(tokens)).randbytes(size), np.uint8)
    saved = tuple(Window(position, True, bytes([position % 256]) * 40) for position in windows)
    return SavedSequence(np.asarray(tokens, np.int32), state, saved, static)


def store(folder: Path, info: BackendInfo = INFO, **options: int) -> KvStore:
    return KvStore(StoreOptions(folder / "kv", "model", **{"least_free": 0, **options}), info)


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "kv").rglob("*.kv"))


def save(target: KvStore, *sequences: SavedSequence) -> None:
    for each in sequences:
        target.save(each)
        target.flush()


def test_what_is_saved_is_read_back_by_another_store(tmp_path: Path) -> None:
    saved = sequence(range(100), [20, 60])
    save(store(tmp_path, WINDOWED), saved)
    other = store(tmp_path, WINDOWED)
    found = other.find([*range(100), 7, 8])
    assert found is not None
    assert (found.usable, found.matched) == (100, 100)
    read = other.read(found)
    assert read is not None
    assert (read.tokens.tolist(), read.state.tobytes()) == (list(range(100)), saved.state.tobytes())
    assert [(w.position, w.requested, bytes(w.data)) for w in read.windows] == [
        (w.position, w.requested, w.data) for w in saved.windows
    ]


def test_what_is_still_to_be_written_is_found_already(tmp_path: Path) -> None:
    target = store(tmp_path)
    for start in (0, 1000, 2000):
        saved = sequence(range(start, start + 50), size=2_000_000)
        target.save(saved)
        found = target.find(range(start, start + 60))
        assert found is not None
        read = target.read(found)
        assert read is not None
        assert read.state.tobytes() == saved.state.tobytes()
    target.close()
    assert len(kept(tmp_path)) == 3


def test_without_a_window_any_beginning_is_usable_and_with_one_those_that_end_at_a_checkpoint(tmp_path: Path) -> None:
    for info, usable in ((INFO, 75), (WINDOWED, 60)):
        target = store(tmp_path, info)
        save(target, sequence(range(100), [20, 60]))
        found = target.find([*range(75), 900])
        assert found is not None
        assert (found.usable, found.matched) == (usable, 75)


def test_the_longest_usable_beginning_wins(tmp_path: Path) -> None:
    target = store(tmp_path)
    save(target, sequence(range(30), static=True), sequence([*range(50), 7, 8, 9]), sequence([*range(35), *range(100)]))
    found = target.find(range(200))
    assert found is not None
    assert found.usable == 50
    assert target.find([5, 6, 7]) is None


def test_another_model_engine_or_layout_finds_nothing(tmp_path: Path) -> None:
    save(store(tmp_path), sequence(range(50)))
    assert store(tmp_path, replace(INFO, layout="layout 3")).find(range(60)) is None
    assert KvStore(StoreOptions(tmp_path / "kv", "other"), INFO).find(range(60)) is None


def test_a_file_longer_than_the_context_is_left_alone(tmp_path: Path) -> None:
    save(store(tmp_path), sequence(range(300)))
    assert store(tmp_path, replace(INFO, n_ctx=256)).find(range(400)) is None
    assert len(kept(tmp_path)) == 1


def test_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    save(store(tmp_path), sequence(range(50)))
    [path] = kept(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


def test_a_later_state_of_a_conversation_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    target = store(tmp_path)
    save(target, sequence(range(20), static=True), sequence(range(100)), sequence([*range(90), *range(500, 600)]))
    assert sorted(len(read_kv_head(path).tokens) for path in kept(tmp_path)) == [20, 190]
    save(target, sequence([*range(40), *range(700, 800)]))
    assert sorted(len(read_kv_head(path).tokens) for path in kept(tmp_path)) == [20, 140, 190], "that is another one"


def test_the_budget_deletes_what_was_used_longest_ago(tmp_path: Path) -> None:
    target = store(tmp_path, budget_bytes=12_000)
    for first in (1000, 2000, 3000):
        save(target, sequence(range(first, first + 50), size=3000))
    for age, path in enumerate(sorted(kept(tmp_path), key=lambda p: int(read_kv_head(p).tokens[0]))):
        os.utime(path, (0, 1_000_000 + age))
    found = target.find(range(1000, 1060))
    assert found is not None
    assert target.read(found) is not None
    save(target, sequence(range(4000, 4050), size=3000))
    assert sorted(int(read_kv_head(path).tokens[0]) for path in kept(tmp_path)) == [1000, 3000, 4000]


def test_what_exceeds_the_whole_budget_is_not_kept(tmp_path: Path) -> None:
    target = store(tmp_path, budget_bytes=500)
    save(target, sequence(range(50)))
    assert kept(tmp_path) == []


def test_a_disk_that_is_nearly_full_is_left_to_others(tmp_path: Path) -> None:
    target = store(tmp_path, least_free=1 << 60)
    save(target, sequence(range(50)))
    assert kept(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "kv").write_text("a file stands here")
    target = store(tmp_path)
    save(target, sequence(range(50)))
    assert target.find(range(60)) is None
    target.close()


def test_drafts_of_a_process_that_died_are_removed_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    target = store(tmp_path)
    save(target, sequence(range(50)))
    folder = kept(tmp_path)[0].parent
    (old, new) = (folder / "a.kv.1.draft", folder / "b.kv.2.draft")
    for draft in (old, new):
        draft.write_bytes(b"half")
    os.utime(old, (0, time.time() - 7200))
    save(target, sequence(range(500, 600)))
    assert (old.exists(), new.exists()) == (False, True)


def test_stores_of_several_processes_share_a_folder(tmp_path: Path) -> None:
    one, other = store(tmp_path), store(tmp_path)
    save(one, sequence(range(50)))
    save(other, sequence(range(50)), sequence(range(900, 960)))
    found = one.find(range(900, 1000))
    assert found is not None
    found.path.unlink()  # the other one needed the room
    assert one.read(found) is None
    assert one.find(range(900, 1000)) is None


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kv") / "a.kv"
    write_kv_file(path, KEY, sequence(range(64), [8, 32], size=500))
    return path


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_damage_is_noticed(whole_file: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(whole_file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1), "at")
    match data.draw(st.sampled_from(["flip", "truncate", "insert", "zero", "append"]), "damage"):
        case "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
        case "truncate":
            del content[at:]
        case "insert":
            content[at:at] = bytes([content[at] ^ 1])
        case "zero":
            span = slice(at, at + data.draw(st.integers(1, 64), "length"))
            if not any(content[span]):
                return
            content[span] = bytes(len(content[span]))
        case _:
            content += b"more"
    damaged = tmp_path / "damaged.kv"
    damaged.write_bytes(content)
    with pytest.raises(DamagedKvFile):
        read_kv_file(damaged)


def test_a_damaged_file_is_deleted_and_done_without(tmp_path: Path) -> None:
    for at in (3, 80, -5):  # prelude, head, payload
        target = store(tmp_path)
        save(target, sequence(range(50)))
        [path] = kept(tmp_path)
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)
        fresh = store(tmp_path)
        found = fresh.find(range(60))
        assert found is None or fresh.read(found) is None
        assert kept(tmp_path) == []
