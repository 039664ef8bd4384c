"""Gemma 4's MTP drafter on llama.cpp itself, on constructed pairs: what it proposes, and that it changes no output.

What is true stands in ``padded``.
"""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.backend import Batch
from inference.backend.llama_assistant import LlamaCppAssistant
from inference.backend.llama_cpp import LlamaCppBackend
from inference.drafters import Generation
from inference.drafters.mtp import MtpDrafter
from inference.errors import DrafterMismatch, EngineClosed, ModelLoadError
from inference.request import Request
from tests.constructed_gemma4 import Shape, drafter, target
from tests.inference.padded import (
    PROMPT,
    TEXT,
    Answer,
    MakeDrafter,
    check_written_plainly,
    drafting_worker,
    from_file,
    serve,
)


def knowing(share: float) -> MakeDrafter:
    """The assistant that knows this share of the partners."""
    return from_file(lambda shape: drafter(shape, knows=share))


def rows(tokens: Sequence[int], start: int, logits: int, sequence: int = 0) -> Batch:
    count = len(tokens)
    return Batch(tokens, range(start, start + count), [sequence] * count, [i >= count - logits for i in range(count)])


# What it proposes


def test_the_drafts_are_the_partners_that_the_target_will_choose() -> None:
    with drafting_worker(Shape(context_gain=0.1), knowing(1.0), k=4) as mtp:
        got = serve(mtp, Request("a", PROMPT, 200))
    assert got.stats.accepted_tokens > 0.95 * got.stats.drafted_tokens > 100


@pytest.mark.parametrize("knows", [0.2, 0.6])
def test_a_drafter_that_knows_a_share_of_the_partners_is_accepted_as_often(knows: float) -> None:
    with drafting_worker(Shape(context_gain=0.5), knowing(knows)) as mtp:
        got = serve(mtp, Request("a", PROMPT, 1000))
    assert abs(got.stats.accepted_tokens / got.stats.drafted_tokens - knows) < 0.15


def test_a_drafter_with_a_centroid_head_drafts_as_without_it() -> None:
    """The head is left out of what llama.cpp gets; it moves all weights behind it."""
    shape, request = Shape(context_gain=0.1), Request("a", PROMPT, 60)
    answers: list[Answer] = []
    for centroids in (0, 16):
        make = from_file(lambda shape, centroids=centroids: drafter(shape, knows=0.8, centroids=centroids))
        with drafting_worker(shape, make, k=4) as mtp:
            answers.append(serve(mtp, request))
    (without, expected), (with_head, got) = [(answer.ids, answer.stats.accepted_tokens) for answer in answers]
    assert with_head == without
    assert got == expected > 0


def test_a_second_draft_from_the_same_row_is_the_same() -> None:
    shape = Shape(context_gain=0.1)
    backend = LlamaCppBackend.load(target(shape), n_ctx=512, n_batch=64, n_threads=1, n_sequences=2)
    mtp = MtpDrafter(LlamaCppAssistant.load(drafter(shape), backend))
    tokens = list(PROMPT[:40])
    backend.decode(rows(tokens, 0, 1, sequence=1))
    tokens.append(int(backend.logits(39).argmax()))
    drafting = mtp.begin(Generation(Request("a", tuple(tokens), 10), 1, tuple))
    assert drafting.draft(tokens, 5) == (), "nothing is known before follow"
    drafting.follow(tokens, 39)
    first = drafting.draft(tokens, 5)
    assert len(first) == 5
    assert list(drafting.draft(tokens, 3)) == list(first[:3])
    assert (backend.seq_pos_max(0), backend.seq_pos_max(1)) == (-1, 39), "the target's memory is as it was"
    mtp.close()
    mtp.close()
    with pytest.raises(EngineClosed):
        drafting.draft(tokens, 1)
    backend.close()


# That it changes nothing


@pytest.mark.parametrize("k", [1, 4, 15])
def test_the_output_is_that_of_padded_plain_decoding(k: int) -> None:
    shape = Shape(context_gain=0.6)
    request = Request("a", PROMPT, 400)
    with drafting_worker(shape, knowing(0.8), k) as mtp:
        got = serve(mtp, request)
    check_written_plainly(shape, request, got.ids)
    assert 0 < got.stats.accepted_tokens < got.stats.drafted_tokens


@pytest.mark.slow
@pytest.mark.parametrize("n_sequences", [1, 2])
@pytest.mark.parametrize("shape", [Shape(context_gain=0.6), Shape(window=64, layers=6, shared_layers=2)], ids=str)
def test_for_every_length_of_draft_1500_tokens_are_those_of_padded_plain_decoding(
    shape: Shape, n_sequences: int
) -> None:
    request = Request("a", PROMPT, 1500)
    outputs: set[tuple[int, ...]] = set()  # of 15 nearly all are the same
    for k in range(1, 16):
        with drafting_worker(shape, knowing(0.8), k, n_sequences) as mtp:
            outputs.add(serve(mtp, request).ids)
    assert {len(ids) for ids in outputs} == {1500}
    for ids in outputs:
        check_written_plainly(shape, request, ids)


@pytest.mark.parametrize("n_sequences", [1, 2])
def test_conversations_with_rewinds_and_restored_windows_are_answered_as_without_a_drafter(n_sequences: int) -> None:
    shape, dice = Shape(context_gain=0.5), random.Random(5)
    transcripts: list[tuple[int, ...]] = [()]
    replayed = 0
    with drafting_worker(shape) as plain, drafting_worker(shape, knowing(0.8), 6, n_sequences) as mtp:
        for number in range(12):
            base = dice.choice(transcripts)
            kept = base if dice.random() < 0.5 else base[: dice.randrange(len(base) + 1)]
            tokens = (*kept, *dice.choices(TEXT, k=dice.randrange(1, 200)))
            request = Request(str(number), tokens, 40, checkpoints=(len(kept) // 2, len(kept)))
            plain.reset()
            expected, got = serve(plain, request), serve(mtp, request)
            assert got.ids == expected.ids
            replayed += got.stats.replayed_tokens
            transcripts.append((*tokens, *got.ids))
    assert replayed > 0, "no checkpoint was ever needed: the test tests nothing"


# Refusals and crashes


def test_a_drafter_of_another_model_is_refused_with_both_sizes() -> None:
    backend = LlamaCppBackend.load(target(), n_ctx=256, n_batch=64, n_threads=1)
    with pytest.raises(DrafterMismatch, match=r"width 128 .* not 64"):
        LlamaCppAssistant.load(drafter(Shape(width=128)), backend)
    backend.close()


def test_what_is_no_drafter_is_refused_in_one_sentence(tmp_path: Path) -> None:
    whole = drafter().read_bytes()
    (tmp_path / "short.gguf").write_bytes(whole[: len(whole) // 2])
    for key in (b"attention.value_length", b"nextn_predict_layers", b"embedding_length_out"):
        spoilt = whole.replace(b"gemma4-assistant." + key + b"\x04", b"gemma4-assistant." + key[:-1] + b"X\x04")
        (tmp_path / f"{key.decode()}.gguf").write_bytes(spoilt)
    backend = LlamaCppBackend.load(target(), n_ctx=256, n_batch=64, n_threads=1)
    for path in (target(), *tmp_path.iterdir()):
        with pytest.raises(ModelLoadError) as caught:
            LlamaCppAssistant.load(path, backend)
        assert "\n" not in str(caught.value)
    backend.close()


CANCELLING = """
    import asyncio, random
    from pathlib import Path
    from inference.backend.llama_assistant import LlamaCppAssistant
    from inference.backend.llama_cpp import LlamaCppBackend
    from inference.drafters.mtp import MtpDrafter
    from inference.in_process import EngineOptions, InProcessEngine
    from inference.planner import AlwaysDraft
    from inference.request import Request, TokensDecoded

    async def main():
        load = lambda _: LlamaCppBackend.load(Path({target!r}), n_ctx=4096, n_batch=64, n_threads=1)
        planner = lambda backend: AlwaysDraft(MtpDrafter(LlamaCppAssistant.load(Path({drafter!r}), backend)), 15)
        engine = InProcessEngine(load, EngineOptions(planner=planner))
        await engine.start()
        dice = random.Random(3)
        prompt = tuple(dice.choices(range(494, 590), k=100))
        reference = None
        for number in range(40):
            ids, stop = [], dice.randrange(1, 60) if number % 4 else 200
            async for event in engine.submit(Request(str(number), prompt, 200)):
                ids += event.ids if isinstance(event, TokensDecoded) else ()
                if len(ids) >= stop and number % 4:
                    await asyncio.sleep(dice.random() * 0.002)
                    engine.cancel(str(number))
            reference = reference or ids
            assert ids == reference[: len(ids)], number
        unfinished = engine.submit(Request("last", prompt, 200))
        await anext(unfinished)
        await engine.close()
        print("whole")

    asyncio.run(main())
"""


def test_cancelling_in_the_middle_of_drafts_neither_crashes_nor_changes_what_comes_next() -> None:
    shape = Shape(window=32, context_gain=0.5)
    script = textwrap.dedent(CANCELLING).format(target=str(target(shape)), drafter=str(drafter(shape, knows=0.9)))
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stdout, ran.stderr[-2000:]) == (0, "whole\n", "")
