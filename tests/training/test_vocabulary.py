"""The cut vocabulary as llama.cpp reads it: nothing is lost, and what chat formats look for is where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.backend.llama_tokenizer import LlamaCppTokenizer
from tests.fakes.vocabulary import GEMMA_MARKERS, GEMMA_VOCABULARY
from training.cut import open_tokenizer, write_vocabulary
from training.vocabulary import KEPT_IDS, Merging, Vocabulary, cut, read_vocabulary, split_merge

TEXTS = (
    "def total(items):\n    return sum(item.price for item in items)\n",
    "\tif x:\n\t\tpass\r\n\n\n\n\n",
    "  ,  ".join(["äöü", "ß", "€", "漢字", "🙂", "\u200b", "\x00", "\x1b[0m"]),
    "\n" * 100 + " " * 100 + "\t" * 50,
    "<table><b>1 < 2 && 3 > 2</b></table> <unused7> <0x41>",
    "▁ is a character, too",
)


@pytest.fixture(scope="module")
def whole() -> Vocabulary:
    if not GEMMA_VOCABULARY.exists():
        pytest.skip(f"{GEMMA_VOCABULARY.name} is not on this machine")
    return read_vocabulary(GEMMA_VOCABULARY)


@pytest.fixture(scope="module")
def small(whole: Vocabulary) -> Vocabulary:
    ids = {token: number for number, token in enumerate(whole.tokens)}
    wanted = ("▁return", "▁sum", "items", "▁for", "▁in", "▁item", "def", "self", "▁▁▁▁", "price")
    return cut(whole, {ids[token]: 100 - at for at, token in enumerate(wanted)}, 640)


@pytest.fixture(scope="module")
def tokenizer(small: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppTokenizer]:
    path = tmp_path_factory.mktemp("vocabulary") / "small.gguf"
    write_vocabulary(path, small)
    with open_tokenizer(path) as opened:
        yield opened


def test_it_has_the_size_that_was_asked_for_or_fewer_tokens_where_fewer_are_needed(small: Vocabulary) -> None:
    assert KEPT_IDS < len(small.tokens) <= 640
    assert len(small.tokens) == len(small.types)


def test_control_tokens_runs_and_bytes_keep_their_ids(whole: Vocabulary, small: Vocabulary) -> None:
    assert small.tokens[:KEPT_IDS] == whole.tokens[:KEPT_IDS]
    assert small.types[:KEPT_IDS] == whole.types[:KEPT_IDS]


def test_merges_lead_from_tokens_to_tokens(small: Vocabulary) -> None:
    known = set(small.tokens)
    for merge in small.merges:
        left, right = split_merge(merge)
        assert {left, right, left + right} <= known


def test_every_token_that_was_wanted_is_reached(small: Vocabulary, tokenizer: LlamaCppTokenizer) -> None:
    for token in ("▁return", "items", "self", "price"):
        assert tokenizer.encode(token.replace("▁", " ")) == [small.tokens.index(token)]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_from_its_tokens(tokenizer: LlamaCppTokenizer, text: str) -> None:
    written = b"".join(tokenizer.piece(token) for token in tokenizer.encode(text)).decode()
    assert written == text.replace("▁", " ")  # as with the whole vocabulary: this character stands for a space


def test_markers_are_found_under_the_ids_that_they_always_had(tokenizer: LlamaCppTokenizer, whole: Vocabulary) -> None:
    for marker in GEMMA_MARKERS:
        assert tokenizer.token_id(marker) == whole.tokens.index(marker)
    assert tokenizer.eog_ids == {1, 50, 106}
    assert tokenizer.bos_id == 2


def test_a_token_brings_all_that_it_is_merged_from() -> None:
    merging = Merging(["a b", "c d", "ab cd"])
    assert merging.ancestry("abcd") == {"a", "b", "c", "d", "ab", "cd", "abcd"}
    assert merging.ancestry("<pad>") == {"<pad>"}


def test_too_few_tokens_are_refused(whole: Vocabulary) -> None:
    with pytest.raises(ValueError, match="too few"):
        cut(whole, {}, 500)


def test_a_file_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.gguf"
    path.write_text(json.dumps({}))
    with pytest.raises(ValueError, match="cannot be read"), open_tokenizer(path):
        pass
