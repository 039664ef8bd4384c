"""The built-in catalogue agrees with the facts, names are found, files without an entry are described."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.errors import ConfigError, UnknownModel
from agent.models.catalog import describe_file, load_catalog
from inference.gguf_header import read_header
from inference.memory import kv_bytes
from tests.fakes.tiny_gguf import QWEN, write_gguf

MIB = 1 << 20
WEIGHTS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", Path.home() / ".cache/gemma-agent/models"))
# f16 KV of 32,768 tokens in MiB, sliding layers at their window, as measured with llama.cpp.
MEASURED = {"gemma-4-e2b": 204, "gemma-4-e4b": 552, "gemma-4-12b": 992, "gemma-4-26b-a4b": 940, "gemma-4-31b": 3760}


def test_the_gemma_family_and_both_qwen_models_are_known() -> None:
    assert {entry.name for entry in load_catalog().model} == {*MEASURED, "qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b"}


def test_names_and_aliases_are_unique() -> None:
    names = [spelled.lower() for entry in load_catalog().model for spelled in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", MEASURED)
def test_the_kv_cost_of_every_gemma_is_what_was_measured(name: str) -> None:
    entry = load_catalog().find(name)
    assert entry.kv_bytes_per_token * 32_768 + entry.kv_window_bytes == MEASURED[name] * MIB


def test_every_gemma_has_a_drafter_and_two_repositories() -> None:
    for entry in load_catalog().model:
        if entry.family == "gemma4":
            assert len(entry.hub) == 2
            assert all(source.drafter for source in entry.hub)


@pytest.mark.parametrize("name", ["Gemma-4-E4B", "e4b", " gemma-4-e4b ", "gemma-4-E4B-it"])
def test_a_model_is_found_by_name_and_alias_in_any_case(name: str) -> None:
    assert load_catalog().find(name).name == "gemma-4-e4b"


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(UnknownModel, match=r"no model named 'gemma-4-e3b', and no such file; did you mean gemma-4-e"):
        load_catalog().find("gemma-4-e3b")


@pytest.mark.parametrize("name", ["", "llama", "../../etc/passwd"])
def test_a_name_like_none_points_to_the_list(name: str) -> None:
    with pytest.raises(UnknownModel, match="agent models list"):
        load_catalog().find(name)


@pytest.mark.parametrize("text", ["model = 3", "[[model]]\nname = 'x'", "not toml at all ["])
def test_a_broken_catalogue_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"catalog\.toml cannot be used"):
        load_catalog(path)


def test_a_file_without_an_entry_is_described_by_its_header(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "mine.gguf")
    entry = describe_file(path, read_header(path))
    assert (entry.name, entry.title, entry.family, entry.small) == ("mine", "Tiny Qwen", "qwen2", True)
    assert entry.kv_bytes_per_token == 28_672
    assert entry.kv_window_bytes == 0


def test_a_gemma_file_is_sampled_as_its_makers_say(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "own.gguf", {**QWEN, "general.architecture": "gemma4"})
    sampling = describe_file(path, read_header(path)).sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (1.0, 64, 0.95)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"])
def test_the_entry_of_a_real_file_agrees_with_its_header(name: str) -> None:
    entry = load_catalog().find(name)
    path = WEIGHTS / str(entry.file)
    if not path.exists():
        pytest.skip(f"{path} is not here")
    header = read_header(path)
    assert path.stat().st_size == header.expected_bytes == entry.model_bytes
    assert (header.n_vocab, header.context_length) == (entry.vocabulary, entry.context)
    assert kv_bytes(header, 8192) == entry.kv_bytes_per_token * 8192
