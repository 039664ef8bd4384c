"""Stamps and hashes: hashed once, trusted while untouched, and never trusted after."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from agent.errors import ModelError
from agent.models.progress import Progress
from agent.models.verify import check_content, check_structure, move_aside, read_stamp, stamp_path, write_stamp
from tests.fakes.tiny_gguf import gguf_bytes

CONTENT = b"some weights" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    return path


def test_right_content_is_hashed_once_and_then_its_stamp_is_believed(file: Path) -> None:
    hashed: list[Progress] = []
    assert check_content(file, SHA, hashed.append)
    assert hashed
    hashed.clear()
    assert check_content(file, SHA, hashed.append)
    assert not hashed


def test_wrong_content_gets_no_stamp(file: Path) -> None:
    assert not check_content(file, "0" * 64)
    assert read_stamp(file) is None


def test_a_touched_file_is_hashed_again(file: Path) -> None:
    check_content(file, SHA)
    file.write_bytes(b"X" + CONTENT[1:])
    os.utime(file, ns=(1, 1))
    assert read_stamp(file) is None
    assert not check_content(file, SHA)


def test_a_stamp_for_another_hash_does_not_help(file: Path) -> None:
    write_stamp(file, "1" * 64)
    assert not check_content(file, SHA)


@pytest.mark.parametrize("text", ["", "null", "[]", '{"sha256": 1}', '{"sha256":"a","size":"b","mtime_ns":0}'])
def test_a_damaged_stamp_is_no_stamp(file: Path, text: str) -> None:
    stamp_path(file).write_text(text)
    assert read_stamp(file) is None


def test_a_file_moved_aside_keeps_its_content_under_a_name_that_nobody_loads(file: Path) -> None:
    write_stamp(file, SHA)
    aside = move_aside(file)
    assert aside.read_bytes() == CONTENT
    assert aside.suffix != ".gguf"
    assert not file.exists()
    assert not stamp_path(file).exists()


def test_a_damaged_blob_of_the_shared_cache_is_deleted_with_its_link(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "snapshot.gguf"
    link.symlink_to(file)
    move_aside(link)
    assert not link.is_symlink()
    assert not file.exists()


def test_a_truncated_model_is_a_model_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf_bytes()[:-10])
    with pytest.raises(ModelError, match="truncated"):
        check_structure(path)
