"""Our products of quantised weights and our attention against numpy, for every instruction set of this processor."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gguf
import numpy as np
import numpy.typing as npt
import pytest

from inference.gguf_header import TENSOR_TYPES
from inference.kernels import INSTRUCTIONS, open_kernels
from tests.inference import native_kernels
from tests.inference.native_kernels import NativeKernels

ROOT = Path(__file__).resolve().parents[2]
MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", Path.home() / ".cache/gemma-agent/models"))
QWEN = MODELS / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
KINDS = {gguf.GGMLQuantizationType(kind).name: kind for kind in native_kernels.KINDS}
SCALE_AT = {"Q6_K": (208, 210), "Q4_K": (0, 4), "Q5_K": (0, 4)}  # bytes of a block that are floats of 16 bits

Weights = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]


@pytest.fixture(scope="module")
def kernels() -> NativeKernels:
    found = native_kernels.native_kernels()
    if found is None:
        pytest.skip("this processor has none of the instructions")
    return found


@pytest.fixture(params=INSTRUCTIONS)
def instructions(request: pytest.FixtureRequest, kernels: NativeKernels) -> str:
    if request.param not in kernels.instructions:
        pytest.skip(f"this processor has no {request.param}")
    return cast("str", request.param)


def random_weights(name: str, rows: int, length: int, seed: int = 1) -> Weights:
    """Blocks of any bits, but for scales, which are ordinary numbers."""
    elements, size = TENSOR_TYPES[KINDS[name]]
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (rows, length // elements, size), dtype=np.uint8)
    start, end = SCALE_AT.get(name, (0, 2))
    scales = (random.random((*blocks.shape[:2], (end - start) // 2)) * 0.01 + 0.001).astype(np.float16)
    blocks[:, :, start:end] = scales.view(np.uint8)
    return blocks.reshape(rows, -1)


def random_rows(rows: int, length: int, seed: int = 2) -> Floats:
    """Rows with a few numbers that are much larger, as a model's are."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, length)).astype(np.float32)
    x[random.random(x.shape) < 0.01] *= 50
    return x


def in_floats(name: str, weights: Weights, x: Floats) -> npt.NDArray[np.float64]:
    """The product that is wanted: of the weights as the file means them, and of x rounded by blocks of 32."""
    meant = cast("Any", gguf.quants).dequantize(weights, gguf.GGMLQuantizationType[name]).astype(np.float64)
    blocks = x.astype(np.float64).reshape(len(x), -1, 32)
    step = np.abs(blocks).max(-1, keepdims=True) / 127
    rounded = np.rint(blocks / np.where(step > 0, step, 1)) * step
    return rounded.reshape(x.shape) @ meant.T


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rows", [1, 3, 8, 9, 40])
def test_a_product_is_that_of_the_weights_in_floats(
    kernels: NativeKernels, instructions: str, name: str, rows: int
) -> None:
    weights, x = random_weights(name, 48, 1280), random_rows(rows, 1280)
    wanted = in_floats(name, weights, x)
    found = kernels.multiply(KINDS[name], weights, x, instructions=instructions, n_threads=2)
    # A tie that floats of 32 bits round otherwise changes one element by one step of 127.
    assert np.abs(found - wanted).max() < 2e-3 * wanted.std()


@pytest.mark.parametrize("name", KINDS)
def test_a_row_has_the_same_bits_alone_and_among_others(kernels: NativeKernels, instructions: str, name: str) -> None:
    weights, x = random_weights(name, 2560, 768), random_rows(600, 768)
    together = kernels.multiply(KINDS[name], weights, x, instructions=instructions, n_threads=3)
    for row in (0, 5, 7, 8, 511, 512, 599):
        alone = kernels.multiply(KINDS[name], weights, x[row : row + 1], instructions=instructions)
        assert (alone[0] == together[row]).all()


@pytest.mark.parametrize("name", KINDS)
def test_the_largest_and_the_smallest_numbers_overflow_nothing(
    kernels: NativeKernels, instructions: str, name: str
) -> None:
    elements, size = TENSOR_TYPES[KINDS[name]]
    start, end = SCALE_AT.get(name, (0, 2))
    for fill in (0, 127, 128, 255):
        blocks = np.full((16, 512 // elements, size), fill, np.uint8)
        blocks[:, :, start:end] = np.full((*blocks.shape[:2], (end - start) // 2), 1, np.float16).view(np.uint8)
        weights = blocks.reshape(16, -1)
        for x in (np.full((2, 512), 3.0), np.full((2, 512), -3.0), np.zeros((2, 512)), np.tile([-1.0, 1.0], (2, 256))):
            rows = x.astype(np.float32)
            wanted = in_floats(name, weights, rows)
            found = kernels.multiply(KINDS[name], weights, rows, instructions=instructions)
            assert np.allclose(found, wanted, rtol=1e-5, atol=1e-2), (fill, x[0, :2])


def test_what_is_no_number_stays_none_and_disturbs_no_other_row(kernels: NativeKernels, instructions: str) -> None:
    weights, x = random_weights("Q4_K", 32, 512), random_rows(3, 512)
    clean = kernels.multiply(KINDS["Q4_K"], weights, x, instructions=instructions)
    x[1, 100] = np.inf
    found = kernels.multiply(KINDS["Q4_K"], weights, x, instructions=instructions)
    assert not np.isfinite(found[1]).any()
    assert (found[[0, 2]] == clean[[0, 2]]).all()


def test_a_tangent_is_right_to_seven_places_everywhere(kernels: NativeKernels, instructions: str) -> None:
    x = np.concatenate(
        [np.linspace(-12, 12, 100_003), np.geomspace(1e-30, 1e30, 1_001), [0.0, -0.0, 0.625, np.inf, -np.inf]]
    ).astype(np.float32)
    found = kernels.tanh(x, instructions=instructions, n_threads=2)
    wanted = np.tanh(x.astype(np.float64))
    assert np.abs(found - wanted).max() < 1.2e-7
    near = np.abs(x) < 0.5
    assert (np.abs(found - wanted)[near] <= 2e-7 * np.abs(wanted[near])).all()
    assert np.isnan(kernels.tanh(np.array([np.nan], np.float32), instructions=instructions)).all()


def test_scaling_is_that_of_numpy(kernels: NativeKernels, instructions: str) -> None:
    x = random_rows(3, 1001)
    found = kernels.scale(x, 1 / 30, 0.5, instructions=instructions, n_threads=2)
    assert np.allclose(found, x * np.float32(1 / 30) + np.float32(0.5), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "places",
    [(0, 0, 0), (9600, 19200, 28800), (9600, 0, 9600), (14400, 4800, 14400), (14400, 4800, 4800), (9600, 19200, 4800)],
)
def test_what_follows_a_product_is_the_same_wherever_its_memory_overlaps(
    kernels: NativeKernels, instructions: str, places: tuple[int, int, int]
) -> None:
    weights, x = random_weights("Q8_0", 3200, 256), random_rows(3, 256)
    product = kernels.multiply(KINDS["Q8_0"], weights, x, instructions=instructions)
    found = kernels.capped(KINDS["Q8_0"], weights, x, 30.0, places, instructions=instructions, n_threads=2).rows
    assert np.abs(found - 30 * np.tanh(product.astype(np.float64) / 30)).max() < 1e-5


@pytest.mark.parametrize("cap", [None, 30.0, 0.01])  # the last one makes many numbers of a row the same
@pytest.mark.parametrize("rows", [1, 9, 64])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_largest_number_of_a_row_is_found_where_it_stands_first(
    kernels: NativeKernels, instructions: str, cap: float | None, rows: int, n_threads: int
) -> None:
    weights, x = random_weights("Q8_0", 3200, 64), random_rows(rows, 64)
    places = () if cap is None else (0, 0, 0)
    found = kernels.capped(KINDS["Q8_0"], weights, x, cap, places, instructions=instructions, n_threads=n_threads)
    assert found.best == found.rows.argmax(-1).tolist()


def test_of_a_row_without_numbers_no_largest_is_said(kernels: NativeKernels, instructions: str) -> None:
    weights, x = random_weights("Q8_0", 3200, 64), random_rows(3, 64)
    x[1] = np.nan
    found = kernels.capped(KINDS["Q8_0"], weights, x, None, (), instructions=instructions, n_threads=2)
    assert found.best == [int(found.rows[0].argmax()), -1, int(found.rows[2].argmax())]


@dataclass(frozen=True)
class Attention:
    """Sizes of one: heads that ask and heads of the memory, lengths of keys and values, queries, positions, streams."""

    heads: int
    kv_heads: int
    d_k: int
    d_v: int
    n_q: int
    n_kv: int
    streams: int = 1

    def draw(self, seed: int = 3) -> tuple[Floats, Halves, Halves]:
        random = np.random.default_rng(seed)
        q = random.standard_normal((self.streams, self.n_q, self.heads, self.d_k)).astype(np.float32)
        k = random.standard_normal((self.streams, self.n_kv, self.kv_heads, self.d_k)).astype(np.float16)
        v = random.standard_normal((self.streams, self.n_kv, self.kv_heads, self.d_v)).astype(np.float16)
        return q * 3, k, v

    def mask(self, window: int) -> Halves:
        """The last query sees all positions but three, each before it one less, and no more than ``window``."""
        last = self.n_kv - 3 - self.n_q + np.arange(self.n_q)[:, None]
        position = np.arange(self.n_kv)[None]
        seen = (position <= last) & (position > last - window)
        masks = np.where(seen, 0.0, -np.inf).astype(np.float16)
        return np.stack([np.roll(masks, -stream, 1) for stream in range(self.streams)])


def attended(
    q: Floats, k: Halves | Floats, v: Halves | Floats, mask: Halves | None, scale: float
) -> npt.NDArray[np.float64]:
    """The same in floats of 64 bits, scores and all."""
    share = q.shape[2] // k.shape[2]
    keys, values = (np.repeat(each.astype(np.float64), share, 2) for each in (k, v))
    scores = scale * np.einsum("sqhd,sphd->shqp", q.astype(np.float64), keys)
    if mask is not None:
        scores += mask.astype(np.float64)[:, None]
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("shqp,sphd->sqhd", weights / weights.sum(-1, keepdims=True), values)


ATTENTIONS = [
    Attention(12, 2, 128, 128, 40, 700),  # Qwen 1.5B
    Attention(14, 2, 64, 64, 3, 1111),  # Qwen 0.5B
    Attention(8, 1, 256, 256, 9, 2000),  # Gemma 4 E2B, a sliding layer
    Attention(8, 1, 512, 512, 17, 300),  # and a full one
    Attention(4, 4, 64, 32, 16, 65),  # every head has a memory of its own
    Attention(16, 2, 32, 48, 1, 800),
    Attention(6, 2, 64, 64, 100, 129, streams=3),
    *(Attention(4, 4, 64, 64, queries, 1111) for queries in (1, 2, 4, 5)),  # few queries, one after the other
    Attention(4, 2, 32, 288, 1, 67, streams=2),
]
FEW_AND_MANY = [Attention(4, 4, 64, 64, 4, 400), Attention(8, 2, 64, 64, 20, 400)]


@pytest.mark.parametrize("size", ATTENTIONS, ids=str)
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("window", [None, 10_000, 100])
def test_an_attention_is_that_of_numpy(
    kernels: NativeKernels, instructions: str, size: Attention, n_threads: int, window: int | None
) -> None:
    q, k, v = size.draw()
    mask = None if window is None else size.mask(window)
    scale = size.d_k**-0.5
    found = kernels.attend(q, k, v, mask, scale, instructions=instructions, n_threads=n_threads)
    assert np.abs(found - attended(q, k, v, mask, scale)).max() < 2e-5


def quantised(rows: Halves) -> tuple[Weights, Floats]:
    """Rows as blocks of Q8_0, and what these mean."""
    quants: Any = gguf.quants
    blocks = quants.quantize(rows.astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
    return blocks, quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0)


@pytest.mark.parametrize("which", ["keys", "values", "both"])
@pytest.mark.parametrize("size", [Attention(8, 2, 128, 64, 20, 400), Attention(2, 2, 128, 64, 1, 400)], ids=str)
def test_a_memory_may_be_quantised(kernels: NativeKernels, instructions: str, which: str, size: Attention) -> None:
    q, keys, values = size.draw()
    mask = size.mask(300)
    given_keys, meant_keys = quantised(keys) if which != "values" else (keys, keys)
    given_values, meant_values = quantised(values) if which != "keys" else (values, values)
    found = kernels.attend(q, given_keys, given_values, mask, 0.1, instructions=instructions, n_threads=2)
    assert np.abs(found - attended(q, meant_keys, meant_values, mask, 0.1)).max() < 2e-5


@pytest.mark.parametrize("size", FEW_AND_MANY, ids=str)
def test_scores_may_be_large_or_without_use(kernels: NativeKernels, instructions: str, size: Attention) -> None:
    q, k, v = size.draw()
    mask = size.mask(1000)
    for factor in (0.0, 1e-3, 50.0):
        found = kernels.attend(q, k, v, mask, factor, instructions=instructions, n_threads=2)
        assert np.abs(found - attended(q, k, v, mask, factor)).max() < 1e-3


@pytest.mark.parametrize("size", FEW_AND_MANY, ids=str)
def test_who_sees_nothing_gets_zeros_and_who_sees_no_number_gets_none(
    kernels: NativeKernels, instructions: str, size: Attention
) -> None:
    q, k, v = size.draw()
    mask = size.mask(1000)
    clean = kernels.attend(q, k, v, mask, 0.1, instructions=instructions, n_threads=2)
    mask[0, 3] = -np.inf
    q[0, 1, 2] = np.nan
    found = kernels.attend(q, k, v, mask, 0.1, instructions=instructions, n_threads=2)
    assert (found[0, 3] == 0).all()
    assert np.isnan(found[0, 1, 2]).all()
    others = np.ones((size.n_q, size.heads), bool)
    others[3], others[1, 2] = False, False
    assert np.abs(found[0][others] - clean[0][others]).max() < 1e-6


def test_other_attentions_are_left_to_llama_cpp(kernels: NativeKernels, instructions: str) -> None:
    for size in (Attention(8, 1, 60, 64, 9, 400), Attention(3, 2, 64, 64, 99, 400)):
        q, k, v = size.draw()
        with pytest.raises(ValueError, match="no attention"):
            kernels.attend(q, k, v, None, 0.1, instructions=instructions)


def test_other_shapes_and_types_are_refused(kernels: NativeKernels, instructions: str) -> None:
    weights, x = random_weights("Q4_K", 16, 512), random_rows(1, 512)
    for wrong_weights, wrong_x in ((weights[:5], x), (weights[:, :-1], x), (weights, x[:, :256]), (weights, x[:0])):
        with pytest.raises(ValueError, match="no product"):
            kernels.multiply(KINDS["Q4_K"], wrong_weights, wrong_x, instructions=instructions)
    assert not kernels.takes(1, 16, 512, instructions)  # floats of 16 bits


def test_instructions_that_are_not_there_are_refused(kernels: NativeKernels) -> None:
    with pytest.raises(ValueError, match="no sse"):
        kernels.multiply(KINDS["Q8_0"], random_weights("Q8_0", 16, 64), random_rows(1, 64), instructions="sse")


def test_a_release_that_nobody_has_checked_goes_without(kernels: NativeKernels) -> None:
    def never(name: str) -> int:
        raise AssertionError(name)

    other = open_kernels.__wrapped__()
    assert other is not None
    assert not other.register("0.0.1", never)
    assert not other.register("0.3.36", never), "what was said stays"


IN_A_MODEL = """
import sys
from contextlib import closing
from pathlib import Path
from bench.kernels import divergence, log_probabilities
from inference.backend.llama_cpp import LlamaCppBackend

def logits(path, kernels):
    with closing(LlamaCppBackend.load(path, n_ctx=256, n_batch=64, n_threads=2, kernels=kernels)) as backend:
        assert ("kernels" in backend.info.layout) == kernels
        tokens = backend.tokenizer.encode("def add(left, right):\\n    return left + right\\n\\n\\nclass Stack:\\n")
        return log_probabilities(backend, tokens, len(tokens)), log_probabilities(backend, tokens, 1)

theirs, _ = logits(Path(sys.argv[1]), False)
ours, alone = logits(Path(sys.argv[1]), True)
print(divergence(theirs, ours), divergence(ours, alone))
"""


@pytest.mark.weights
@pytest.mark.skipif(not QWEN.exists(), reason=f"no weights at {QWEN}")
@pytest.mark.usefixtures("kernels")
def test_a_real_model_says_the_same_with_them() -> None:
    # A process of its own: a context without them must be made before any with them.
    process = subprocess.run(
        [sys.executable, "-c", IN_A_MODEL, str(QWEN)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert process.returncode == 0, process.stderr
    against_llama, against_rows_alone = (float(word) for word in process.stdout.split())
    assert 0 < against_llama < 0.02
    assert 0 <= against_rows_alone < 0.005
