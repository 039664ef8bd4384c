"""The llama.cpp backend by its front door: loading and its refusals, decoding, sampling, the tokenizer, cancelling.

The sliding window has a file of its own. Models are constructed, but for the tests marked ``weights``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend
from inference.errors import DecodeFailed, EngineClosed, ModelLoadError, NotEnoughMemory
from inference.memory import LOGIT_ROWS
from inference.request import SamplingParams
from inference.sampling import Mask
from tests.constructed_gemma4 import REAL_VOCABULARY, drafter, target

MODELS = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", Path.home() / ".cache/gemma-agent/models"))
QWEN = MODELS / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
needs_qwen = pytest.mark.skipif(not QWEN.exists(), reason=f"no weights at {QWEN}")


def load(path: Path, n_ctx: int = 512, n_batch: int = 64) -> LlamaCppBackend:
    return LlamaCppBackend.load(path, n_ctx=n_ctx, n_batch=n_batch, n_threads=1)


@pytest.fixture
def backend() -> Iterator[LlamaCppBackend]:
    with closing(load(target())) as loaded:
        yield loaded


def rows(tokens: list[int], start: int = 0, logits: int = 1) -> Batch:
    """Tokens of sequence 0 from position ``start``; the last ``logits`` rows ask for logits."""
    count = len(tokens)
    return Batch(tokens, range(start, start + count), [0] * count, [i >= count - logits for i in range(count)])


def only(n_vocab: int, *ids: int) -> Mask:
    mask = np.zeros((n_vocab + 31) // 32, np.uint32)
    for token_id in ids:
        mask[token_id // 32] |= np.uint32(1 << token_id % 32)
    return mask


# Loading


def test_a_loaded_model_tells_its_facts_and_its_progress() -> None:
    seen: list[float] = []
    with closing(LlamaCppBackend.load(target(), n_ctx=512, n_batch=64, n_threads=1, progress=seen.append)) as backend:
        info = backend.info
    assert (info.architecture, info.model_name) == ("gemma4", "Constructed Gemma 4")
    assert (info.n_ctx, info.n_batch, info.n_vocab, info.n_swa, info.n_sequences) == (512, 64, 590, 32, 1)
    assert info.model_bytes > 900_000
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_file_that_is_no_model_is_refused_in_one_sentence(tmp_path: Path) -> None:
    whole = target().read_bytes()
    (tmp_path / "text.gguf").write_text("this is not a model")
    (tmp_path / "short.gguf").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "header.gguf").write_bytes(whole[:5000])
    for name in ("missing.gguf", "text.gguf", "short.gguf", "header.gguf"):
        with pytest.raises(ModelLoadError, match=name) as caught:
            load(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_drafter_is_not_loaded_as_a_model() -> None:
    with pytest.raises(ModelLoadError, match="drafter"):
        load(drafter())


@pytest.mark.skipif(not REAL_VOCABULARY.exists(), reason="the optional data folder is absent")
def test_a_vocabulary_without_weights_is_refused() -> None:
    with pytest.raises(ModelLoadError, match="no weights"):
        load(REAL_VOCABULARY)


def test_a_model_without_a_setting_that_it_needs_is_refused_with_the_name_of_the_setting(tmp_path: Path) -> None:
    path, key = tmp_path / "odd.gguf", b"gemma4.attention.sliding_window"
    path.write_bytes(target().read_bytes().replace(key + b"\x04", key[:-1] + b"X\x04"))
    with pytest.raises(ModelLoadError, match=r"\(key not found in model: gemma4.attention.sliding_window\)"):
        load(path)


def test_an_unknown_architecture_is_refused_with_llama_cpps_reason(tmp_path: Path) -> None:
    path = tmp_path / "alien.gguf"
    path.write_bytes(target().read_bytes().replace(b"gemma4", b"gemmaX"))
    with pytest.raises(ModelLoadError, match="gemmaX"):
        load(path)


def test_a_context_that_no_memory_holds_is_refused_before_it_is_tried() -> None:
    for swa_full in (False, True):
        with pytest.raises(NotEnoughMemory, match="smaller context"):
            LlamaCppBackend.load(target(), n_ctx=2_000_000_000, n_threads=1, swa_full=swa_full)


def test_nothing_of_llama_cpp_reaches_the_terminal() -> None:
    script = (
        "from pathlib import Path; from inference.backend.llama_cpp import LlamaCppBackend; "
        f"LlamaCppBackend.load(Path({str(target())!r}), n_ctx=256, n_batch=32, n_threads=1).close()"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_closed_backend_says_so_and_can_be_closed_again(backend: LlamaCppBackend) -> None:
    backend.close()
    backend.close()
    with pytest.raises(EngineClosed):
        backend.decode(rows([5]))
    with pytest.raises(EngineClosed):
        backend.tokenizer.encode("x")


# Decoding


def test_a_batch_that_would_abort_the_process_is_refused_before() -> None:
    with closing(load(target(), n_batch=128)) as backend:
        assert backend.info.n_logit_rows == LOGIT_ROWS
        for batch in (rows([]), rows([500] * 129), rows([500] * 100, logits=LOGIT_ROWS + 1)):
            with pytest.raises(ValueError, match="rows"):
                backend.decode(batch)
        assert backend.seq_pos_max(0) == -1


def test_a_batch_that_llama_cpp_refuses_leaves_the_memory_as_it_was(backend: LlamaCppBackend) -> None:
    backend.decode(rows([500, 501, 502]))
    for batch in (rows([503], start=7), rows([590], start=3), rows([-1], start=3)):
        with pytest.raises(DecodeFailed, match="refused"):
            backend.decode(batch)
    assert (backend.seq_pos_min(0), backend.seq_pos_max(0)) == (0, 2)


def test_a_full_memory_is_a_typed_error_and_loses_nothing(backend: LlamaCppBackend) -> None:
    for start in range(0, 512, 64):
        backend.decode(rows([500] * 64, start))
    with pytest.raises(DecodeFailed, match="full"):
        backend.decode(rows([500], 512))
    assert backend.seq_pos_max(0) == 511


def test_logits_are_a_view_of_the_rows_that_asked_for_them(backend: LlamaCppBackend) -> None:
    backend.decode(rows([500, 501, 502], logits=2))
    assert backend.logits(2).shape == (590,)
    assert np.shares_memory(backend.logits(2), backend.logits(2))
    assert not np.array_equal(backend.logits(1), backend.logits(2))
    for row in (0, 3):
        with pytest.raises(ValueError, match=f"row {row}"):
            backend.logits(row)


# Sampling


def test_greedy_takes_the_highest_logit_among_the_allowed(backend: LlamaCppBackend) -> None:
    backend.decode(rows([500, 501]))
    best, second = np.argsort(backend.logits(1))[::-1][:2].tolist()
    with closing(backend.sampler(SamplingParams())) as sampler:
        assert sampler.sample(1) == best
        everything = np.full(19, 0xFFFFFFFF, np.uint32)
        assert sampler.sample(1, everything) == best
        assert sampler.sample(1, everything & ~only(590, best)) == second
        assert sampler.sample(1, only(590, 17)) == 17
        with pytest.raises(ValueError, match="no token"):
            sampler.sample(1, only(590))


def test_draws_repeat_with_their_seed_and_stay_within_top_k_and_mask(backend: LlamaCppBackend) -> None:
    backend.decode(rows([500, 501]))
    best = np.argsort(backend.logits(1))[::-1].tolist()
    hot = SamplingParams(temperature=50.0, top_k=5, top_p=1.0, seed=3)

    def draws(params: SamplingParams, mask: Mask | None = None) -> list[int]:
        with closing(backend.sampler(params)) as sampler:
            return [sampler.sample(1, mask) for _ in range(200)]

    assert draws(hot) == draws(hot)
    assert set(draws(hot)) == set(best[:5])
    assert draws(hot) != draws(SamplingParams(temperature=50.0, top_k=5, top_p=1.0, seed=4))
    assert set(draws(hot, only(590, 3, 4, best[0]))) == {3, 4, best[0]}


def test_draws_follow_the_softmax_of_the_logits(backend: LlamaCppBackend) -> None:
    backend.decode(rows([500, 501]))
    logits = backend.logits(1).astype(np.float64) / 3.0
    expected = np.exp(logits - logits.max())
    expected /= expected.sum()
    params = SamplingParams(temperature=3.0, top_k=0, top_p=1.0, seed=1)
    with closing(backend.sampler(params)) as sampler:
        counts = Counter(sampler.sample(1) for _ in range(4000))
    for token_id in np.argsort(expected)[::-1][:3].tolist():
        assert counts[token_id] / 4000 == pytest.approx(expected[token_id], abs=0.03)


def test_min_p_drops_what_is_far_below_the_best(backend: LlamaCppBackend) -> None:
    backend.decode(rows([500, 501]))
    best = int(backend.logits(1).argmax())
    params = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=1.0, seed=2)
    with closing(backend.sampler(params)) as sampler:
        assert {sampler.sample(1) for _ in range(50)} == {best}


def test_sampling_a_row_without_logits_is_an_error_and_not_an_abort(backend: LlamaCppBackend) -> None:
    backend.decode(rows([500, 501]))
    for temperature in (0.0, 1.0):
        params = SamplingParams(temperature=temperature)
        with closing(backend.sampler(params)) as sampler, pytest.raises(ValueError, match="row"):
            sampler.sample(0)


# The vocabulary


def test_text_round_trips_through_the_tokenizer(backend: LlamaCppBackend) -> None:
    tokenizer = backend.tokenizer
    for text in ("", "def f(x):\n\treturn x  # é ü 漢字 🐍", " leading", "a\x00b", "\n\n  \n"):
        assert b"".join(map(tokenizer.piece, tokenizer.encode(text))).decode() == text
    assert tokenizer.encode("x\ud800y") == tokenizer.encode("x?y")


def test_markers_are_known_by_name_and_by_id(backend: LlamaCppBackend) -> None:
    tokenizer = backend.tokenizer
    assert [tokenizer.token_id(m) for m in ("<bos>", "<|turn>", "<tool_call|>", '<|"|>')] == [2, 105, 49, 52]
    markers = {i for i in range(46, 110) if tokenizer.is_control(i)}
    assert markers == {*range(46, 53), 98, 100, 101, 105, 106}
    assert (tokenizer.bos_id, tokenizer.eog_ids) == (2, {1, 50, 106})
    assert tokenizer.piece(105) == b"<|turn>"
    for unknown in ("<|nothing|>", "two words", ""):
        with pytest.raises(KeyError):
            tokenizer.token_id(unknown)
    for outside in (-1, 590):
        with pytest.raises(IndexError):
            tokenizer.piece(outside)
        with pytest.raises(IndexError):
            tokenizer.is_control(outside)


def test_control_tokens_are_not_parsed_from_text(backend: LlamaCppBackend) -> None:
    assert not {105, 106, 2} & set(backend.tokenizer.encode("<bos><|turn>user<turn|>"))


# Real weights


@pytest.mark.weights
@pytest.mark.slow
@needs_qwen
def test_a_real_model_answers_sensibly_and_a_long_prefill_is_cut_short_on_request() -> None:
    with closing(load(QWEN, n_ctx=1024, n_batch=512)) as backend, closing(backend.sampler(SamplingParams())) as sampler:
        tokenizer = backend.tokenizer
        assert tokenizer.bos_id is None
        assert tokenizer.token_id("<|im_end|>") in tokenizer.eog_ids
        prompt = tokenizer.encode("def add(a, b):\n    return a +")
        backend.decode(rows(prompt))
        assert tokenizer.piece(sampler.sample(len(prompt) - 1)) == b" b"

        timer = threading.Timer(0.2, backend.request_abort)
        timer.start()
        with pytest.raises(DecodeFailed, match="on request"):
            backend.decode(rows((tokenizer.encode("x = 1\n") * 200)[:512], start=len(prompt)))
        timer.join()

        assert backend.seq_pos_max(0) == len(prompt) - 1
