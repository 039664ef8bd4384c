"""Grammars over tokens: triggers, completion, end-of-generation ids, masks, forced tokens, and drawing under them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend
from inference.constraint import Constraint, GrammarVocabulary, sample_constrained
from inference.errors import InvalidGrammar
from inference.request import Grammar, Passage, SamplingParams
from inference.sampling import Mask, allowed_ids
from inference.tokenizer import Tokenizer
from tests.constructed_gemma4 import target

CALL, CALL_END, QUOTE, RESPONSE, TURN_END, EOS = 48, 49, 52, 50, 106, 1
CALLS = Grammar(
    lark=r"""
    start: "call:" name "{" key ":" value ("," key ":" value)* "}" <[49]>
    name: "read" | "grep"
    key: /[a-z]+/
    value: <[52]> TEXT <[52]> | /[0-9]+/
    TEXT: /(.|\n)*/
    """,
    triggers=frozenset({CALL}),
)


@pytest.fixture(scope="module")
def backend() -> Iterator[LlamaCppBackend]:
    with closing(LlamaCppBackend.load(target(), n_ctx=256, n_batch=32, n_threads=1)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def vocabulary(backend: LlamaCppBackend) -> GrammarVocabulary:
    return GrammarVocabulary(backend.tokenizer)


def commit(constraint: Constraint, ids: Iterable[int]) -> None:
    for token_id in ids:
        constraint.commit(token_id)


def call(tokenizer: Tokenizer, path: str) -> list[int]:
    head, tail = tokenizer.encode("call:read{path:"), tokenizer.encode("}")
    return [*head, QUOTE, *tokenizer.encode(path), QUOTE, *tail, CALL_END]


def choices(constraint: Constraint, vocabulary: GrammarVocabulary) -> list[int]:
    return allowed_ids(constraint.mask(), vocabulary.n_vocab).tolist()


def starting(lark: str) -> Grammar:
    return Grammar(lark=lark, from_start=True)


def test_everything_is_allowed_until_a_trigger_and_after_the_end(
    backend: LlamaCppBackend, vocabulary: GrammarVocabulary
) -> None:
    constraint = Constraint(CALLS, vocabulary)
    free = (RESPONSE, TURN_END, CALL, 500)
    assert not constraint.active
    assert all(constraint.allows(i) for i in free)
    commit(constraint, backend.tokenizer.encode("some text"))
    for _ in range(3):
        constraint.commit(CALL)
        assert (constraint.active, constraint.complete) == (True, False)
        assert not any(constraint.allows(i) for i in free)
        commit(constraint, call(backend.tokenizer, "src/a.py"))
        assert (constraint.active, constraint.complete) == (False, True)
        assert all(constraint.allows(i) for i in free)


def test_only_what_the_grammar_says_is_allowed_and_a_refused_token_changes_nothing(
    backend: LlamaCppBackend, vocabulary: GrammarVocabulary
) -> None:
    constraint = Constraint(CALLS, vocabulary)
    commit(constraint, [CALL, *backend.tokenizer.encode("call:")])
    assert {backend.tokenizer.piece(i) for i in choices(constraint, vocabulary)} == {b"r", b"g"}
    for forbidden in (*backend.tokenizer.encode("w"), TURN_END, EOS, QUOTE):
        assert not constraint.allows(forbidden)
        with pytest.raises(ValueError, match=str(forbidden)):
            constraint.commit(forbidden)
    commit(constraint, backend.tokenizer.encode("read"))


def test_the_mask_and_the_single_check_agree_on_every_token(
    backend: LlamaCppBackend, vocabulary: GrammarVocabulary
) -> None:
    constraint = Constraint(CALLS, vocabulary)
    for token_id in [CALL, *call(backend.tokenizer, 'x <|tool_call> "\n{}é')][:-1]:
        if constraint.allows(token_id):
            constraint.commit(token_id)
        masked = choices(constraint, vocabulary)
        single = [i for i in range(vocabulary.n_vocab) if constraint.allows(i)]
        assert set(masked) <= set(single)
        assert {backend.tokenizer.piece(i) for i in masked} == {backend.tokenizer.piece(i) for i in single}


def test_text_may_hold_anything_but_markers(backend: LlamaCppBackend, vocabulary: GrammarVocabulary) -> None:
    constraint = Constraint(CALLS, vocabulary)
    commit(constraint, [CALL, *backend.tokenizer.encode("call:read{path:"), QUOTE])
    commit(constraint, backend.tokenizer.encode('a "b" {c}\n\n  漢字'))
    markers = [i for i in range(vocabulary.n_vocab) if backend.tokenizer.is_control(i)]
    assert [i for i in markers if constraint.allows(i)] == [QUOTE]


def test_generation_may_end_only_where_the_grammar_could(
    backend: LlamaCppBackend, vocabulary: GrammarVocabulary
) -> None:
    constraint = Constraint(starting('start: "a" /[0-9]+/'), vocabulary)
    commit(constraint, backend.tokenizer.encode("a"))
    assert not constraint.allows(TURN_END)
    commit(constraint, backend.tokenizer.encode("1"))
    assert constraint.active
    assert set(choices(constraint, vocabulary)) >= {EOS, RESPONSE, TURN_END}
    constraint.commit(TURN_END)
    assert (constraint.active, constraint.complete) == (False, True)


def test_an_end_of_generation_id_can_be_part_of_a_grammar(vocabulary: GrammarVocabulary) -> None:
    constraint = Constraint(starting("start: <[49]> <[50]>"), vocabulary)
    commit(constraint, [CALL_END])
    assert choices(constraint, vocabulary) == [RESPONSE]
    commit(constraint, [RESPONSE])
    assert constraint.complete


def test_tokens_without_an_alternative_are_forced(backend: LlamaCppBackend, vocabulary: GrammarVocabulary) -> None:
    constraint = Constraint(CALLS, vocabulary)
    assert constraint.forced() == ()
    constraint.commit(CALL)
    assert constraint.forced() == tuple(backend.tokenizer.encode("call:"))
    commit(constraint, constraint.forced())
    assert constraint.forced() == ()
    commit(constraint, backend.tokenizer.encode("r"))
    assert constraint.forced() == tuple(backend.tokenizer.encode("ead{"))


@pytest.mark.parametrize(
    "lark", ["start: nowhere", 'start: "a" (', "start: <[99999999]>", "start: /[/", "", "no grammar at all"]
)
def test_a_grammar_that_cannot_be_compiled_is_a_typed_error_in_one_sentence(
    lark: str, vocabulary: GrammarVocabulary
) -> None:
    with pytest.raises(InvalidGrammar, match="compiled") as caught:
        Constraint(Grammar(lark=lark, triggers=frozenset({CALL})), vocabulary)
    assert "\n" not in str(caught.value)


class FixedSampler:
    """Draws what it is told, in order, and keeps the masks it was given."""

    def __init__(self, *draws: int) -> None:
        self._draws = list(draws)
        self.masks: list[Mask | None] = []

    def sample(self, row: int, mask: Mask | None = None) -> int:
        self.masks.append(mask)
        return self._draws.pop(0)

    def close(self) -> None:
        pass


def test_the_vocabulary_is_masked_only_after_a_free_draw_was_refused(
    backend: LlamaCppBackend, vocabulary: GrammarVocabulary
) -> None:
    constraint = Constraint(CALLS, vocabulary)
    constraint.commit(CALL)
    c = backend.tokenizer.encode("c")[0]

    lucky = FixedSampler(c)
    assert sample_constrained(lucky, 0, constraint) == c
    assert lucky.masks == [None]

    unlucky = FixedSampler(TURN_END, c)
    assert sample_constrained(unlucky, 0, constraint) == c
    free, masked = unlucky.masks
    assert free is None
    assert masked is not None
    assert allowed_ids(masked, vocabulary.n_vocab).tolist() == [c]

    assert sample_constrained(FixedSampler(TURN_END), 0, None) == TURN_END


def test_drawing_freely_first_does_not_change_the_distribution(
    backend: LlamaCppBackend, vocabulary: GrammarVocabulary
) -> None:
    backend.seq_rm(0, 0, -1)
    backend.decode(Batch([500, 501], [0, 1], [0, 0], [False, True]))
    ids = list(range(520, 528))
    constraint = Constraint(starting("start: <[520-527]>"), vocabulary)
    logits = backend.logits(1)[ids].astype(np.float64) / 4
    expected = np.exp(logits) / np.exp(logits).sum()
    params = SamplingParams(temperature=4.0, top_k=0, top_p=1.0, seed=5)
    with closing(backend.sampler(params)) as sampler:
        counts = Counter(sample_constrained(sampler, 1, constraint) for _ in range(4000))
    assert set(counts) <= set(ids)
    for token_id, share in zip(ids, expected.tolist(), strict=True):
        assert counts[token_id] / 4000 == pytest.approx(share, abs=0.035)


def test_a_passage_ends_only_where_it_stands_once_and_one_that_cannot_go_on_ends_all_the_same(
    backend: LlamaCppBackend, vocabulary: GrammarVocabulary
) -> None:
    text = "x = 1\ny = 2\nx = 1\n\nx = 1\n  y "
    lark = f"start: key <[{QUOTE}]> %regex {json.dumps({'substring_chars': text})} <[{QUOTE}]>\nkey: /find:|like:/"
    grammar = replace(starting(lark), passages=(Passage("find:", QUOTE, (text, "unlike it")),))

    def ends(key: str, piece: str) -> bool:
        constraint = Constraint(grammar, vocabulary)
        commit(constraint, [*backend.tokenizer.encode(key), QUOTE, *backend.tokenizer.encode(piece)])
        allowed = QUOTE in choices(constraint, vocabulary)
        assert constraint.allows(QUOTE) is allowed
        if allowed:
            constraint.commit(QUOTE)
            assert constraint.complete
        return allowed

    assert not ends("find:", "x = 1")
    assert ends("like:", "x = 1")
    assert ends("find:", "x = 1\ny")
    assert ends("find:", "y = 2")
    assert ends("find:", "y")  # the only line that is that and no more
    assert not ends("find:", "x")
    assert not ends("find:", "")
    assert not ends("find:", "\n\n")  # blanks name no place
    assert ends("find:", text)
    assert ends("find:", "\nx = 1\n\nx")


def test_a_passage_may_have_to_be_unlike_the_one_before(
    backend: LlamaCppBackend, vocabulary: GrammarVocabulary
) -> None:
    lark = f'start: "old:" string "new:" string\nstring: <[{QUOTE}]> /[ab]+/ <[{QUOTE}]>'
    grammar = replace(starting(lark), passages=(Passage("old:", QUOTE), Passage("new:", QUOTE, unlike=True)))
    constraint = Constraint(grammar, vocabulary)
    encode = backend.tokenizer.encode
    commit(constraint, [*encode("old:"), QUOTE, *encode("ab"), QUOTE, *encode("new:"), QUOTE, *encode("ab")])
    assert not constraint.allows(QUOTE)
    assert QUOTE not in choices(constraint, vocabulary)
    commit(constraint, [*encode("a"), QUOTE])
    assert constraint.complete


def test_what_is_repeated_up_to_the_end_may_end(backend: LlamaCppBackend, vocabulary: GrammarVocabulary) -> None:
    lark = f'start: "find:" <[{QUOTE}]> "ab" <[{QUOTE}]>'
    constraint = Constraint(replace(starting(lark), passages=(Passage("find:", QUOTE, ("ab ab",)),)), vocabulary)
    commit(constraint, [*backend.tokenizer.encode("find:"), QUOTE, *backend.tokenizer.encode("ab")])
    assert choices(constraint, vocabulary) == [QUOTE]
    constraint.commit(QUOTE)
    assert constraint.complete
