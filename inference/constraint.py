"""Which tokens a grammar allows next, token by token, on llguidance.

It samples nothing by itself and knows no chat format: what a grammar says comes with the request.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from inference.backend import Sampler
from inference.errors import InvalidGrammar
from inference.passages import Passages
from inference.request import Grammar
from inference.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_KEPT_GRAMMARS = 8  # compiled ones; a session uses one for its tools and now and then another
_SILENT = 0  # llguidance's log level


class GrammarVocabulary:
    """A vocabulary in the form that grammars need; one for each loaded model, safe to use from any thread.

    Building it costs about 2 s for 262,144 tokens and happens once, at the first grammar or at ``warm``.
    0.7 s of that are one call that holds the interpreter's lock, so better warm it before somebody watches.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._native: LLTokenizer | None = None
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()

    @property
    def n_vocab(self) -> int:
        """Number of token ids."""
        return self._tokenizer.n_vocab

    @property
    def eog_ids(self) -> frozenset[int]:
        """Ids that end a generation."""
        return self._tokenizer.eog_ids

    def piece(self, token_id: int) -> bytes:
        """What a token writes."""
        return self._tokenizer.piece(token_id)

    def warm(self) -> None:
        """Build now what the first grammar would otherwise wait for."""
        with self._lock:
            self._built()

    def matcher(self, lark: str) -> LLMatcher:
        """A new matcher at the start of the grammar; raises InvalidGrammar. Compiled grammars are kept and copied."""
        with self._lock:
            if lark not in self._compiled:
                self._compiled[lark] = _compile(self._built(), lark)
                if len(self._compiled) > _KEPT_GRAMMARS:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(lark)
            return self._compiled[lark].deep_copy()

    def _built(self) -> LLTokenizer:
        if self._native is None:
            # Imported here: a session without grammars does not pay for it.
            from llguidance import LLTokenizer, TokenizerWrapper

            # No slices: they cost 0.7 s of building and save 3 ms at the first mask inside a text.
            # One end token: which ids end a generation is decided by Constraint, so that a grammar may name the others.
            eos = min(self._tokenizer.eog_ids, default=0)
            adapter = TokenizerWrapper(_Adapter(self._tokenizer, eos))
            self._native = LLTokenizer(adapter, n_vocab=self.n_vocab, eos_token=eos, slices=[])
        return self._native


class _Adapter:
    """The attributes from which llguidance reads a vocabulary; it calls it to tokenise forced text canonically."""

    def __init__(self, tokenizer: Tokenizer, eos: int) -> None:
        ids = range(tokenizer.n_vocab)
        self.eos_token_id = eos
        self.bos_token_id = tokenizer.bos_id
        self.tokens = [tokenizer.piece(i) for i in ids]
        self.special_token_ids = [i for i in ids if tokenizer.is_control(i)]
        self._encode = tokenizer.encode

    def __call__(self, text: bytes) -> list[int]:
        return self._encode(text.decode("utf-8", "replace"))


def _compile(vocabulary: LLTokenizer, lark: str) -> LLMatcher:
    from llguidance import LLMatcher

    matcher = LLMatcher(vocabulary, LLMatcher.grammar_from_lark(lark), log_level=_SILENT)
    if matcher.is_error():
        raise InvalidGrammar(f"The grammar cannot be compiled: {_first_line(matcher.get_error())}.")
    return matcher


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].rstrip(".")


class Constraint:
    """Where one request stands in its Grammar; tell it every token with ``commit``.

    It is ``active`` from the start or after each trigger, and free again when the grammar is complete and cannot go on.
    The ids that end a generation are allowed while it is not active, and wherever the grammar could end.
    Raises InvalidGrammar when the grammar cannot be compiled.
    """

    def __init__(self, grammar: Grammar, vocabulary: GrammarVocabulary) -> None:
        self._grammar = grammar
        self._vocabulary = vocabulary
        self._complete = False
        self._mask = np.zeros((vocabulary.n_vocab + 31) // 32, np.uint32)
        self._fresh = vocabulary.matcher(grammar.lark)
        self._matcher: LLMatcher | None = None
        self._passages = Passages((), vocabulary.piece)
        if grammar.from_start:
            self._activate()

    @property
    def active(self) -> bool:
        """Whether the grammar restricts the next token."""
        return self._matcher is not None

    @property
    def complete(self) -> bool:
        """Whether the grammar, last time it was active, came to its end; False before and meanwhile."""
        return self._complete

    def allows(self, token_id: int) -> bool:
        """Whether the token may come next; 5 µs."""
        if self._matcher is None:
            return True
        if token_id in self._vocabulary.eog_ids and self._matcher.is_accepting():
            return True
        return not self._passages.holds_back(token_id) and self._matcher.validate_tokens([token_id]) == 1

    def mask(self) -> npt.NDArray[np.uint32]:
        """All allowed ids, bit i%32 of word i//32; overwritten by the next call.

        Where the text is forced it holds the usual token alone, while ``allows`` takes any that writes the same (the
        letter a, the byte 0x61).
        25 µs where the state was seen before, 5 ms where not (262,144 tokens). Raises InvalidGrammar when no
        token is left.
        """
        if self._matcher is None:
            self._mask.fill(0xFFFFFFFF)
            return self._mask
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        if self._matcher.is_error():
            raise InvalidGrammar(f"The grammar cannot be followed: {_first_line(self._matcher.get_error())}.")
        if self._matcher.is_accepting():
            for token_id in self._vocabulary.eog_ids:
                self._mask[token_id // 32] |= np.uint32(1 << token_id % 32)
        self._hold_back()
        if not self._mask.any():
            raise InvalidGrammar("The grammar allows no token of this model's vocabulary; check its text parts.")
        return self._mask

    def _hold_back(self) -> None:
        """Take out of the mask what passages forbid, unless nothing else is left."""
        token_id = self._passages.held_back()
        if token_id is None:
            return
        word, bit = token_id // 32, np.uint32(1 << token_id % 32)
        held = self._mask[word] & bit
        self._mask[word] &= ~bit
        if held and not self._mask.any():
            self._mask[word] |= bit
            self._passages.exempt()

    def commit(self, token_id: int) -> None:
        """Move on by one generated token; raises ValueError, nothing changed, when it is not allowed."""
        matcher = self._matcher
        if matcher is None:
            if token_id in self._grammar.triggers:
                self._activate()
            return
        if not self.allows(token_id):
            raise ValueError(f"token {token_id} is not allowed by the grammar")
        self._passages.feed(token_id)
        ended = token_id in self._vocabulary.eog_ids and matcher.is_accepting()
        if ended or (matcher.consume_token(token_id) and matcher.is_stopped()):
            self._finish()

    def forced(self) -> tuple[int, ...]:
        """The tokens that must follow whatever is sampled, so that nobody has to ask the model; often none."""
        return tuple(self._matcher.compute_ff_tokens()) if self._matcher is not None else ()

    def _activate(self) -> None:
        self._complete = False
        self._matcher = self._fresh.deep_copy()
        self._passages = Passages(self._grammar.passages, self._vocabulary.piece)
        if self._matcher.is_stopped():
            self._finish()

    def _finish(self) -> None:
        self._matcher = None
        self._complete = True


def sample_constrained(sampler: Sampler, row: int, constraint: Constraint | None) -> int:
    """Draw from row ``row`` of the last decode what ``constraint`` allows; the caller commits the token.

    One token is drawn freely and checked; only a forbidden one makes us compute the mask and draw again. With p the
    model's distribution and A the allowed set, a token x of A comes with p(x) + (1 - p(A)) p(x)/p(A) = p(x)/p(A): just
    as if the mask had been applied first. (With top-k or top-p both draws truncate, the second one among A alone.)
    """
    token_id = sampler.sample(row)
    if constraint is None or constraint.allows(token_id):
        return token_id
    return sampler.sample(row, constraint.mask())
