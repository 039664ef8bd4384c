"""Streaming text out of token ids: characters stay whole, bad bytes become U+FFFD, nothing is lost or doubled."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.backend.llama_cpp import LlamaCppBackend
from inference.detokenizer import Detokenizer, detokenize
from inference.tokenizer import Tokenizer
from tests.constructed_gemma4 import target


@pytest.fixture(scope="module")
def tokenizer() -> Iterator[Tokenizer]:
    with closing(LlamaCppBackend.load(target(), n_ctx=256, n_batch=32, n_threads=1)) as backend:
        yield backend.tokenizer


@given(text=st.text(), sizes=st.lists(st.integers(1, 4), min_size=1))
def test_any_text_comes_out_as_it_went_in_however_its_tokens_arrive(
    tokenizer: Tokenizer, text: str, sizes: list[int]
) -> None:
    ids, stream, out = tokenizer.encode(text), Detokenizer(tokenizer), ""
    for size in itertools.cycle(sizes):
        if not ids:
            break
        out += stream.feed(ids[:size])
        ids = ids[size:]
    assert out + stream.finish() == text


def test_a_character_appears_with_its_last_byte_and_not_before(tokenizer: Tokenizer) -> None:
    stream = Detokenizer(tokenizer)
    assert [stream.feed([i]) for i in tokenizer.encode("a🐍b")] == ["a", "", "", "", "🐍", "b"]


def test_bytes_that_are_no_character_become_replacement_characters(tokenizer: Tokenizer) -> None:
    snake = tokenizer.encode("🐍")
    letter = tokenizer.encode("b")
    assert detokenize(tokenizer, snake[:2] + letter) == "\ufffdb"
    assert detokenize(tokenizer, snake[:3]) == "\ufffd"


def test_a_finished_stream_starts_afresh(tokenizer: Tokenizer) -> None:
    stream = Detokenizer(tokenizer)
    stream.feed(tokenizer.encode("🐍")[:2])
    assert stream.finish() == "\ufffd"
    assert stream.feed(tokenizer.encode("ok")) + stream.finish() == "ok"


def test_an_id_outside_the_vocabulary_is_an_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(IndexError):
        Detokenizer(tokenizer).feed([tokenizer.n_vocab])
