"""Training with PyTorch, which is no dependency: these tests skip without it."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.batches import Batches, make_batch
from training.samples import Sample
from training.shape import Shape
from training.vocabulary import Vocabulary

pytest.importorskip("torch", reason="PyTorch is installed for training only (training/README.md)")
pytest.importorskip("transformers", reason="transformers is installed for training only (training/README.md)")

pytestmark = pytest.mark.slow


def load(name: str) -> Any:
    return importlib.import_module(f"training.network.{name}")


@pytest.fixture(scope="module")
def shape(vocabulary: Vocabulary) -> Shape:
    return Shape(len(vocabulary.tokens), width=64, layers=4, shared=2, heads=2, kv_heads=1, hidden=96, window=16)


@pytest.mark.parametrize("change", [{}, {"values_are_keys": False, "cap": 0.0, "shared": 0}, {"kv_heads": 2}])
def test_the_same_weights_give_the_same_logits_in_both_programs(
    shape: Shape, vocabulary: Vocabulary, change: dict[str, Any]
) -> None:
    equal = load("equal_logits")
    each = replace(shape, **change)
    ids = np.random.default_rng(0).integers(0, each.vocabulary, 80).tolist()
    found = equal.compare(equal.random_pair(each, 1), each, vocabulary, ids)
    assert found["spread of the target's logits"] > 1
    assert max(value for name, value in found.items() if not name.startswith("spread")) < equal.BAR


def run_of(shape: Shape, steps: int, path: Path | None = None) -> Any:
    train, checkpoints, models = load("train"), load("checkpoints"), load("models")
    model = models.make_target(shape)
    models.initialise(model, 0)
    run = checkpoints.Run(model, train.Optimizers(model))
    if path is not None:
        assert run.load(path, train.device())
    chance = np.random.default_rng(0)
    seen: list[int] = []
    samples = [Sample((2, *chance.integers(494, 520, 30).tolist()), ((1, 31),), "text") for _ in range(20)]
    train.train(run, shape, Batches({"text": samples}, 256, 0), train.Plan(12, 1e-2, steps), seen.append)
    assert all(tokens > 0 for tokens in seen)
    return run


def test_the_loss_falls_and_a_run_that_was_interrupted_goes_on_exactly(shape: Shape, tmp_path: Path) -> None:
    whole = run_of(shape, 12)
    assert whole.losses[-1] < whole.losses[0]
    half = run_of(shape, 6)
    half.save(tmp_path / "half")
    resumed = run_of(shape, 12, tmp_path / "half")
    assert resumed.losses == whole.losses


def test_halves_side_by_side_are_one_step(shape: Shape) -> None:
    """The gradient of two batches is the mean of both, whichever thread was first."""
    train, models = load("train"), load("models")
    chance = np.random.default_rng(0)
    batches = [
        make_batch([Sample((2, *chance.integers(494, 590, 60).tolist()), ((30, 50),), "s") for _ in range(2)])
        for _ in range(2)
    ]
    model = models.make_target(shape)
    models.initialise(model, 0)
    weight = model.model.layers[0].self_attn.k_proj.weight
    found: list[Any] = []
    for some in ([batches[0]], [batches[1]], batches, batches):
        model.zero_grad()
        train.SideBySide(model, shape, len(some)).gradients(some)
        found.append(weight.grad.numpy().copy())
    assert np.allclose(found[2], (found[0] + found[1]) / 2, atol=1e-6)
    assert np.array_equal(found[2], found[3])


def test_a_plan_may_end_by_the_clock(shape: Shape) -> None:
    train, models, checkpoints = load("train"), load("models"), load("checkpoints")
    model = models.make_target(shape)
    run = checkpoints.Run(model, train.Optimizers(model), step=10, seconds=90.0)
    plan = train.Plan(1000, 1e-2, 1000, 0.5, minutes=2)
    assert plan.progress(run) == 0.75
    assert plan.rate_of(run) == pytest.approx(1e-2 * (1 - 0.95 / 2))
    run.seconds = 121.0
    assert not plan.goes_on(run)


def test_what_all_rows_share_is_read_once_with_the_same_gradients(shape: Shape) -> None:
    train, models = load("train"), load("models")
    chance = np.random.default_rng(0)
    static = (2, *chance.integers(494, 590, 40).tolist())
    samples = [
        Sample((*static, *chance.integers(494, 590, 40 + n).tolist()), ((60, 70),), "s", static=41) for n in range(3)
    ]
    batch = make_batch(samples)
    assert batch.shared == 41
    model = models.make_target(shape)
    models.initialise(model, 0)
    found: list[tuple[float, Any]] = []
    for each in (batch, replace(batch, shared=0)):
        model.zero_grad()
        loss, _ = train.loss_of(model, shape, each)
        loss.backward()
        found.append((float(loss.detach()), model.model.layers[0].self_attn.k_proj.weight.grad.numpy().copy()))
    assert abs(found[0][0] - found[1][0]) < 1e-5
    assert np.allclose(found[0][1], found[1][1], atol=1e-6)


@pytest.mark.parametrize("change", [{}, {"values_are_keys": True}, {"kv_heads": 2, "shared": 0}, {"layers": 6}])
def test_rows_that_are_asked_for_are_those_of_a_whole_reading(shape: Shape, change: dict[str, Any]) -> None:
    models, counted = load("models"), load("counted")
    each = replace(shape, **change)
    model = models.make_target(each)
    models.initialise(model, 0)
    ids = torch_tensor(np.random.default_rng(0).integers(494, 590, (2, 70)))
    places = np.array([[3, 40, 69], [50, 15, 16]])
    whole, whole_kv = models.read(model, ids)
    some, kv = counted.counted_rows(model, each, ids, torch_tensor(places))
    for row in (0, 1):
        assert np.allclose(some[row].detach().numpy(), whole[row].detach().numpy()[places[row]], atol=1e-4)
    for kind, pair in whole_kv.items():
        for mine, theirs in zip(kv[kind], pair, strict=True):
            assert np.allclose(mine.detach().numpy(), theirs.detach().numpy(), atol=1e-4)


def torch_tensor(array: Any) -> Any:
    return importlib.import_module("torch").from_numpy(array)


def test_the_drafter_learns_what_the_target_says(shape: Shape) -> None:
    train, drafting, checkpoints, models = (load(name) for name in ("train", "train_drafter", "checkpoints", "models"))
    target, drafter = models.make_target(shape), models.make_drafter(shape.drafter(32, 2, 64))
    for model in (target, drafter):
        models.initialise(model, 0)
    target.eval().requires_grad_(False)
    run = checkpoints.Run(drafter, train.Optimizers(drafter))
    samples = [Sample((2, *range(500, 530)), ((10, 30),), "session")]
    for _ in range(15):
        drafting.train(run, (target, shape), [samples], train.Plan(15, 1e-2, 15), 0)
    assert run.losses[-1] < run.losses[0]
    assert len(drafting.judge((target, drafter), shape, samples)) == drafting.AHEAD


def test_a_target_begins_with_copying(vocabulary: Vocabulary) -> None:
    train, models, copying = load("train"), load("models"), load("copying")
    shape = Shape(len(vocabulary.tokens))
    chance = np.random.default_rng(0)
    first = chance.permutation(np.arange(494, shape.vocabulary))[:60].tolist()
    sample = Sample((2, *first, *first), ((62, 121),), "repeat")
    found: list[float] = []
    for copies in (False, True):
        model = models.make_target(shape)
        models.initialise(model, 0)
        if copies:
            copying.begin_with_copying(model, shape, 0)
        found.append(train.judge(model, shape, [sample])["right"])
    assert found[0] < 0.2
    assert found[1] > 0.5


def test_a_shape_without_room_for_codes_is_refused(shape: Shape) -> None:
    models, copying = load("models"), load("copying")
    with pytest.raises(ValueError, match="no room"):
        copying.begin_with_copying(models.make_target(shape), shape, 0)


def test_muon_steps_are_those_of_pytorchs_own_without_its_rounding() -> None:
    torch, muon = importlib.import_module("torch"), load("muon")
    chance = torch.Generator().manual_seed(0)
    began = torch.randn(24, 16, generator=chance)
    mine, theirs = (began.clone().requires_grad_() for _ in range(2))
    optimizers = muon.Muon([mine], 0.1), torch.optim.Muon([theirs], weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for optimizer in optimizers:
        optimizer.param_groups[0]["lr"] = 0.01
    for _ in range(3):
        mine.grad = torch.randn(24, 16, generator=chance)
        theirs.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    moved = (began - mine).abs().mean()
    assert (mine - theirs).abs().mean() < moved / 50
    with pytest.raises(ValueError, match="matrices"):
        muon.Muon([torch.zeros(3)], 0.1)


@pytest.mark.parametrize("size", [(16, 24), (24, 16)])
def test_orthogonal_matrices_have_like_singular_values(size: tuple[int, int]) -> None:
    torch, muon = importlib.import_module("torch"), load("muon")
    found = muon.orthogonal(torch.randn(3, *size, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(found)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
