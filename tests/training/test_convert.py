"""Model files as they are written for llama.cpp: it loads them, and both programs find the same settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType

from inference.backend import Batch
from inference.backend.llama_assistant import LlamaCppAssistant
from inference.backend.llama_cpp import LlamaCppBackend
from inference.backend.model_file import check_drafter
from inference.gguf_header import read_header
from training.convert import Array, load_weights, named, save_weights, write_model
from training.llama import Pair
from training.shape import FULL, SLIDING, Shape, rotary_factors
from training.vocabulary import Vocabulary

F32, Q8, Q4 = GGMLQuantizationType.F32, GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0


@pytest.fixture(scope="module")
def shape(vocabulary: Vocabulary) -> Shape:
    return Shape(len(vocabulary.tokens), width=64, layers=4, shared=2, heads=2, kv_heads=1, hidden=96, window=8)


def sizes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and sizes of a model's parameters, as transformers has them."""
    width = shape.width
    yield "model.embed_tokens.weight", (shape.vocabulary, width)
    yield "model.norm.weight", (width,)
    for layer in range(shape.layers):
        start, head = f"model.layers.{layer}.", shape.head(layer)
        yield start + "self_attn.q_proj.weight", (shape.heads * head, width)
        yield start + "self_attn.o_proj.weight", (width, shape.heads * head)
        yield start + "self_attn.q_norm.weight", (head,)
        if layer < shape.owners:
            yield start + "self_attn.k_proj.weight", (shape.kv_heads * head, width)
            yield start + "self_attn.k_norm.weight", (head,)
            if shape.kinds[layer] == SLIDING or not shape.values_are_keys:
                yield start + "self_attn.v_proj.weight", (shape.kv_heads * head, width)
        for name in ("gate", "up"):
            yield start + f"mlp.{name}_proj.weight", (shape.hidden, width)
        yield start + "mlp.down_proj.weight", (width, shape.hidden)
        for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            yield start + f"{name}_layernorm.weight", (width,)
        yield start + "layer_scalar", (1,)
    if shape.backbone:
        yield "pre_projection.weight", (width, 2 * shape.backbone)
        yield "post_projection.weight", (shape.backbone, width)


def weights(shape: Shape, seed: int = 0) -> dict[str, Array]:
    chance = np.random.default_rng(seed)
    return {
        name: (np.ones(size) if len(size) == 1 else chance.standard_normal(size) / size[1] ** 0.5).astype(np.float32)
        for name, size in sizes(shape)
    }


def pair(folder: Path, shape: Shape, vocabulary: Vocabulary, kind: GGMLQuantizationType) -> tuple[Path, Path]:
    own = shape.drafter(32, 2, 64)
    paths = folder / f"target-{kind.name}.gguf", folder / f"drafter-{kind.name}.gguf"
    for path, each in zip(paths, (shape, own), strict=True):
        write_model(path, path.stem, (each, weights(each)), vocabulary, kind)
    return paths


def test_both_are_loaded_and_the_drafter_guesses_from_what_the_target_has_read(
    tmp_path: Path, shape: Shape, vocabulary: Vocabulary
) -> None:
    paths = pair(tmp_path, shape, vocabulary, F32)
    check_drafter(*paths)
    with Pair(*paths, context=128) as models:
        logits, hidden = models.read(2, 0)
        assert (logits.shape, hidden.shape) == ((shape.vocabulary,), (shape.width,))
        before, _ = models.draft(107, hidden, 1)
        again, _ = models.draft(107, hidden, 1)
        assert np.array_equal(before, again)
        for position in range(1, 30):
            logits, hidden = models.read(494 + position, position)
        after, _ = models.draft(107, hidden, 30)
        assert not np.allclose(before, after, atol=1e-3)
        assert np.isfinite(logits).all()


def test_the_engine_runs_them(tmp_path: Path, shape: Shape, vocabulary: Vocabulary) -> None:
    target, drafter = pair(tmp_path, shape, vocabulary, Q8)
    with closing(LlamaCppBackend.load(target, n_ctx=256, n_threads=1)) as backend:
        with closing(LlamaCppAssistant.load(drafter, backend)) as assistant:
            backend.decode(Batch([2, 500, 501], [0, 1, 2], [0, 0, 0], [False, False, True]))
            hidden = np.empty(assistant.width, np.float32)
            assistant.read_row(2, hidden)
            assert len(assistant.draft(hidden, 502, 3, 0, 4)) == 4
        assert backend.info.n_swa == shape.window
        assert backend.tokenizer.eog_ids == {1, 50, 106}


def test_quantised_files_are_smaller_and_say_nearly_the_same(
    tmp_path: Path, shape: Shape, vocabulary: Vocabulary
) -> None:
    rows: dict[GGMLQuantizationType, list[Array]] = {}
    bytes_of: dict[GGMLQuantizationType, int] = {}
    for kind in (F32, Q8, Q4):
        paths = pair(tmp_path, shape, vocabulary, kind)
        bytes_of[kind] = read_header(paths[0]).tensor_bytes
        assert read_header(paths[0]).quantization == kind.name
        with Pair(*paths, context=128) as models:
            rows[kind] = [models.read(494 + position, position)[0] for position in range(20)]
    assert bytes_of[F32] > 3 * bytes_of[Q8]
    assert bytes_of[Q8] > bytes_of[Q4]
    for kind, least in ((Q8, 0.99), (Q4, 0.8)):
        assert np.corrcoef(np.ravel(rows[F32]), np.ravel(rows[kind]))[0, 1] > least


def test_layers_end_with_a_sliding_and_a_full_one_that_own_kv(shape: Shape) -> None:
    assert shape.kinds[-2:] == (SLIDING, FULL)
    assert shape.kinds[shape.owners - 2 : shape.owners] == (SLIDING, FULL)
    assert shape.drafter(32).owners == 0


def test_a_quarter_of_a_full_head_is_turned(shape: Shape) -> None:
    factors = rotary_factors(shape)
    assert factors == [1.0] * 8 + [1e30] * 24


def test_a_drafter_of_the_targets_width_is_refused(shape: Shape) -> None:
    with pytest.raises(ValueError, match="width"):
        shape.drafter(shape.width)


def test_weights_without_a_place_are_refused() -> None:
    with pytest.raises(KeyError):
        list(named({"model.layers.0.self_attn.q_proj.bias": np.zeros(4, np.float32)}))


def test_a_vocabulary_of_another_size_is_refused(tmp_path: Path, shape: Shape, vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="tokens"):
        write_model(tmp_path / "x.gguf", "x", (replace(shape, vocabulary=7), {}), vocabulary, F32)


def test_weights_and_shape_are_kept_together(tmp_path: Path, shape: Shape) -> None:
    made = weights(shape)
    save_weights(tmp_path / "w.npz", shape, made)
    found, loaded = load_weights(tmp_path / "w.npz")
    assert found == shape
    assert loaded.keys() == made.keys()
    assert all(np.array_equal(loaded[name], made[name]) for name in made)


def test_weights_can_be_kept_in_16_bits(tmp_path: Path, shape: Shape) -> None:
    made = weights(shape)
    save_weights(tmp_path / "w.npz", shape, made, half=True)
    _, loaded = load_weights(tmp_path / "w.npz")
    assert all(loaded[name].dtype == np.float32 for name in made)
    assert all(np.allclose(loaded[name], made[name], rtol=1e-3, atol=1e-6) for name in made)
    save_weights(tmp_path / "whole.npz", shape, made)
    assert (tmp_path / "w.npz").stat().st_size < 0.6 * (tmp_path / "whole.npz").stat().st_size
