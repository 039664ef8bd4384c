"""The GGUF header reader: what it tells of whole files, and one sentence for every kind of broken one."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import ModelLoadError
from inference.gguf_header import KEPT_ARRAY, MAX_ARRAY, SkippedArray, read_header
from tests.fakes.tiny_gguf import QWEN, gguf_bytes, write_gguf

GEMMA_VOCABULARY = Path(__file__).parents[2] / "../shared/data/ggml-vocab-gemma-4.gguf"


def test_a_whole_file_tells_what_it_is(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", rows=100)
    header = read_header(path)
    assert (header.architecture, header.name, header.quantization) == ("qwen2", "Tiny Qwen", "Q4_K_M")
    assert (header.version, header.n_layers, header.context_length, header.n_vocab) == (3, 28, 32768, 3)
    assert (header.tensor_count, header.parameters, header.tensor_bytes) == (1, 800, 3200)
    assert header.expected_bytes == path.stat().st_size


def test_padding_after_the_last_tensor_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "padded.gguf"
    path.write_bytes(gguf_bytes() + bytes(64))
    assert read_header(path).expected_bytes == path.stat().st_size - 64


def test_long_arrays_are_skipped_and_short_ones_kept(tmp_path: Path) -> None:
    metadata = {**QWEN, "short": [1, 2, 3], "flags": [True, False], "long": list(range(KEPT_ARRAY + 1))}
    found = read_header(write_gguf(tmp_path / "arrays.gguf", metadata)).metadata
    assert found["short"] == (1, 2, 3)
    assert found["flags"] == (True, False)
    assert found["long"] == SkippedArray(KEPT_ARRAY + 1)
    tokens = found["tokenizer.ggml.tokens"]
    assert isinstance(tokens, SkippedArray)
    assert tokens.count == 3


@pytest.mark.skipif(not GEMMA_VOCABULARY.exists(), reason="the optional data folder is absent")
def test_the_real_gemma_vocabulary_is_read_to_its_end() -> None:
    header = read_header(GEMMA_VOCABULARY)
    assert header.architecture == "gemma4"
    assert header.n_vocab == 262_144
    assert header.expected_bytes == GEMMA_VOCABULARY.stat().st_size
    assert header.per_layer("gemma4.attention.head_count_kv")[4:7] == (8, 2, 8)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"There is no model file .*gone\.gguf"):
        read_header(tmp_path / "gone.gguf")


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip file", b"<html>404</html>"])
def test_something_else_is_not_taken_for_a_gguf(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match="is not a GGUF model file"):
        read_header(path)


def test_a_folder_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="cannot be read"):
        read_header(tmp_path)


def test_a_file_cut_inside_its_weights_is_called_truncated_with_both_sizes(tmp_path: Path) -> None:
    whole = gguf_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole[:-100])
    with pytest.raises(ModelLoadError, match=rf"truncated: it has {len(whole) - 100:,} bytes of {len(whole):,}"):
        read_header(path)


@pytest.mark.parametrize("version", [0, 1, 4, 0x03000000])
def test_versions_of_gguf_that_are_not_known_are_refused(tmp_path: Path, version: int) -> None:
    path = tmp_path / "version.gguf"
    path.write_bytes(gguf_bytes(version=version))
    with pytest.raises(ModelLoadError, match="GGUF version"):
        read_header(path)


@pytest.mark.parametrize(("kind", "count"), [(8, MAX_ARRAY + 1), (8, 1 << 62), (4, 1 << 62), (9, 1), (77, 1)])
def test_absurd_arrays_cost_nothing(tmp_path: Path, kind: int, count: int) -> None:
    path = tmp_path / "absurd.gguf"
    key = struct.pack("<Q", 1) + b"k"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key + struct.pack("<IIQ", 9, kind, count) + bytes(64))
    with pytest.raises(ModelLoadError, match="damaged"):
        read_header(path)


def test_absurd_layer_counts_are_refused_before_anything_is_built_from_them(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="layers"):
        read_header(write_gguf(tmp_path / "layers.gguf", {**QWEN, "qwen2.block_count": 4_000_000_000}))


WHOLE = gguf_bytes({**QWEN, "flags": [True, False], "texts": ["x" * 40] * 20}, rows=8)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_a_damaged_file_reads_as_a_header_or_as_a_load_error_and_nothing_else(data: st.DataObject) -> None:
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(0, 4))):
        bit = data.draw(st.integers(0, len(damaged) * 8 - 1))
        damaged[bit // 8] ^= 1 << bit % 8
    cut = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(damaged[:cut])
        file.flush()
        try:
            header = read_header(Path(file.name))
        except ModelLoadError:
            return
        assert header.expected_bytes <= cut
        assert len(header.per_layer("qwen2.attention.head_count")) == header.n_layers


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_noise_behind_the_magic_is_a_load_error_or_an_empty_model(noise: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(b"GGUF" + noise)
        file.flush()
        try:
            header = read_header(Path(file.name))
        except ModelLoadError:
            return
        assert header.tensor_count == 0 or header.expected_bytes <= len(noise) + 4
