"""Memory: the KV cache of the Gemma 4 family and of Qwen, the context that fits, and what control groups allow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from inference.errors import NotEnoughMemory
from inference.gguf_header import GgufHeader, read_header
from inference.memory import MIB, DrafterFootprint, Footprint, available_bytes, fit_context, fit_sequences, kv_bytes
from tests.fakes.tiny_gguf import Value, write_gguf

GIB = 1 << 30


@dataclass(frozen=True)
class Shape:
    """The geometry of one Gemma 4, and its f16 KV cache in MiB at 32,768 tokens, sliding layers at their window."""

    layers: int
    every: int  # one full layer after so many minus one sliding ones
    heads: tuple[int, int]  # KV heads of full and of sliding layers
    window: int
    shared: int
    mebibytes: int


GEMMA_4 = {
    "E2B": Shape(35, 5, (1, 1), 512, 20, 204),
    "E4B": Shape(42, 6, (2, 2), 512, 18, 552),
    "12B": Shape(48, 6, (1, 8), 1024, 0, 992),
    "26B-A4B": Shape(30, 6, (2, 8), 1024, 0, 940),
    "31B": Shape(60, 6, (4, 16), 1024, 0, 3760),
}


def gemma_header(folder: Path, shape: Shape) -> GgufHeader:
    slides = [(layer + 1) % shape.every != 0 for layer in range(shape.layers)]
    metadata: dict[str, Value] = {
        "general.architecture": "gemma4",
        "gemma4.block_count": shape.layers,
        "gemma4.context_length": 131072,
        "gemma4.embedding_length": 2560,
        "gemma4.attention.head_count": 8,
        "gemma4.attention.head_count_kv": [shape.heads[1] if sliding else shape.heads[0] for sliding in slides],
        "gemma4.attention.key_length": 512,
        "gemma4.attention.value_length": 512,
        "gemma4.attention.key_length_swa": 256,
        "gemma4.attention.value_length_swa": 256,
        "gemma4.attention.sliding_window": shape.window,
        "gemma4.attention.sliding_window_pattern": slides,
        "gemma4.attention.shared_kv_layers": shape.shared,
    }
    return read_header(write_gguf(folder / "gemma.gguf", metadata))


@pytest.mark.parametrize("size", GEMMA_4)
def test_sliding_layers_are_counted_at_their_window(tmp_path: Path, size: str) -> None:
    assert kv_bytes(gemma_header(tmp_path, GEMMA_4[size]), 32_768) == GEMMA_4[size].mebibytes * MIB


def test_qwen_pays_for_every_token_in_every_layer(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "qwen.gguf"))
    assert kv_bytes(header, 4_096) == 4_096 * 28_672
    assert kv_bytes(header, 4_096, "q8_0") == 4_096 * 28_672 * 34 // 64


def test_the_context_is_the_largest_multiple_of_256_that_fits(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "qwen.gguf"))
    drafter = DrafterFootprint(header, 1 << 20)
    for available in (int(1.7 * GIB), int(1.9 * GIB), 2 * GIB):
        for model in (Footprint(header, GIB), Footprint(header, GIB, "q8_0"), Footprint(header, GIB, drafter=drafter)):
            n_ctx = fit_context(model, available, 32_768)
            assert n_ctx % 256 == 0
            assert model.bytes_at(n_ctx) <= available
            assert n_ctx == 32_768 or available < model.bytes_at(n_ctx + 256)


def test_the_context_is_neither_more_than_wanted_nor_than_the_model_was_made_for(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "qwen.gguf"))
    assert fit_context(Footprint(header, GIB), 64 * GIB, 8_192) == 8_192
    assert fit_context(Footprint(header, GIB), 64 * GIB, 1_000_000) == 32_768


def test_too_little_memory_is_a_sentence_with_both_numbers(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "qwen.gguf"))
    with pytest.raises(NotEnoughMemory, match=r"Tiny Qwen needs 1\.5 GiB of memory for 4,096 tokens and 1\.0 GiB are"):
        fit_context(Footprint(header, GIB), GIB, 32_768)


def test_a_drafter_is_counted_an_assistant_without_and_a_draft_model_with_a_memory_of_its_own(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "qwen.gguf"))
    assistant = read_header(write_gguf(tmp_path / "mtp.gguf", {"general.architecture": "gemma4-assistant"}))
    alone = Footprint(header, GIB)
    with_assistant = Footprint(header, GIB, drafter=DrafterFootprint(assistant, 100 * MIB))
    with_model = Footprint(header, GIB, drafter=DrafterFootprint(header, 100 * MIB))
    for n_ctx in (4_096, 32_768):
        assert with_assistant.bytes_at(n_ctx) - alone.bytes_at(n_ctx) == 100 * MIB
        assert with_model.bytes_at(n_ctx) - alone.bytes_at(n_ctx) >= 100 * MIB + kv_bytes(header, n_ctx)


def test_a_header_without_any_geometry_still_gives_an_answer(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "bare.gguf", {"general.architecture": "new"}))
    assert fit_context(Footprint(header, 1000), GIB, 4_096) == 4_096


def _machine(root: Path, free_kb: int, groups: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:   {free_kb} kB\n")
    (root / "proc/self/cgroup").write_text(groups)


def _files(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_without_limits_the_system_says_what_is_free(tmp_path: Path) -> None:
    _machine(tmp_path, 1000, "0::/\n")
    assert available_bytes(tmp_path) == 1000 * 1024


def test_a_second_version_group_limits_and_its_file_cache_counts_as_free(tmp_path: Path) -> None:
    _machine(tmp_path, 10_000, "0::/user/agent\n")
    group = tmp_path / "sys/fs/cgroup/user/agent"
    _files(group, memory__max="5000000\n", memory__current="3000000\n", memory__stat="anon 1\ninactive_file 1000000\n")
    assert available_bytes(tmp_path) == 3_000_000


def test_a_group_further_up_limits_too(tmp_path: Path) -> None:
    _machine(tmp_path, 10_000, "0::/user/agent\n")
    _files(tmp_path / "sys/fs/cgroup/user", memory__max="4000\n", memory__current="1000\n", memory__stat="")
    _files(tmp_path / "sys/fs/cgroup/user/agent", memory__max="max\n", memory__current="1000\n", memory__stat="")
    assert available_bytes(tmp_path) == 3_000


def test_a_first_version_group_limits_inside_a_container_whose_path_is_the_hosts(tmp_path: Path) -> None:
    _machine(tmp_path, 10_000, "4:memory:/docker/0123\n1:cpu:/docker/0123\n")
    group = tmp_path / "sys/fs/cgroup/memory"
    _files(
        group, memory__limit_in_bytes="6000\n", memory__usage_in_bytes="2000\n", memory__stat="total_inactive_file 5"
    )
    assert available_bytes(tmp_path) == 4_005


def test_a_first_version_group_without_limit_is_ignored(tmp_path: Path) -> None:
    _machine(tmp_path, 10_000, "4:memory:/\n")
    group = tmp_path / "sys/fs/cgroup/memory"
    _files(group, memory__limit_in_bytes="9223372036854771712\n", memory__usage_in_bytes="2000\n")
    assert available_bytes(tmp_path) == 10_000 * 1024


def test_sequences_cost_nothing_without_a_window_and_a_window_each_with_one(tmp_path: Path) -> None:
    windowed = Footprint(gemma_header(tmp_path, GEMMA_4["12B"]), GIB)
    one = 1024 * 8 * 40 * 2 * 256 * 2  # tokens, heads, sliding layers, K and V, of 256 halves each
    assert [fit_sequences(windowed, spare) for spare in (-1, one - 1, one, 2 * one, 100 * one)] == [1, 1, 2, 3, 4]
    plain = {"general.architecture": "qwen2", "qwen2.block_count": 2, "qwen2.attention.head_count": 2}
    header = read_header(write_gguf(tmp_path / "qwen.gguf", {**plain, "qwen2.embedding_length": 64}))
    assert fit_sequences(Footprint(header, GIB), 0) == 8
