"""What a grammar costs a token over the 262,144 tokens of Gemma 4: llguidance beside llama.cpp's own grammars.

Run: python -m bench.constraint. It needs the optional data folder (for the vocabulary) and downloads no weights: a
constructed model gives the logits. It measures no quality.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as lib

from bench.claims import report
from inference.backend import Batch
from inference.backend.llama_cpp import LlamaCppBackend
from inference.constraint import Constraint, GrammarVocabulary, sample_constrained
from inference.request import Grammar, SamplingParams
from inference.sampling import Mask
from tests.constructed_gemma4 import REAL_VOCABULARY, Shape, target

CALL, CALL_END, QUOTE = 48, 49, 52
LARK = Grammar(
    lark=r"""
    start: "call:" name "{" key ":" value ("," key ":" value)* "}" <[49]>
    name: "read" | "grep" | "edit" | "write" | "bash" | "glob" | "symbols" | "todo"
    key: /[a-z_]+/
    value: <[52]> TEXT <[52]> | /-?[0-9]+(\.[0-9]+)?/ | "true" | "false" | "null"
    TEXT: /(.|\n)*/
    """,
    triggers=frozenset({CALL}),
)
GBNF = r"""
root ::= "call:" name "{" key ":" value ("," key ":" value)* "}" <[49]>
name ::= "read" | "grep" | "edit" | "write" | "bash" | "glob" | "symbols" | "todo"
key ::= [a-z_]+
value ::= <[52]> text <[52]> | "-"? [0-9]+ ("." [0-9]+)? | "true" | "false" | "null"
text ::= [^\x00]*
"""
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data
native: Any = lib


class Stopwatch:
    """Collects milliseconds of this thread's processor time under names: other programs do not count."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    @contextmanager
    def time(self, name: str) -> Generator[None]:
        began = time.thread_time()
        yield
        self.times.setdefault(name, []).append(1000 * (time.thread_time() - began))

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])

    def worst(self, name: str) -> float:
        return max(self.times[name])


class LlamaGrammar:
    """llama.cpp's grammar sampler on candidate arrays."""

    def __init__(self, vocabulary: Any, n_vocab: int) -> None:
        self._sampler = native.llama_sampler_init_grammar(vocabulary, GBNF.encode(), b"root")
        if not self._sampler:
            raise SystemExit("llama.cpp refused the grammar")
        self._all = np.zeros(n_vocab, CANDIDATE)
        self._all["id"] = np.arange(n_vocab)

    def apply(self, candidates: Any) -> None:
        data = ctypes.cast(ctypes.c_void_p(candidates.ctypes.data), ctypes.POINTER(lib.llama_token_data))
        array = native.llama_token_data_array(data, candidates.size, -1, False)
        native.llama_sampler_apply(self._sampler, ctypes.byref(array))

    def allows(self, token_id: int) -> bool:
        one = self._all[token_id : token_id + 1].copy()
        self.apply(one)
        return bool(np.isfinite(one["logit"][0]))

    def mask(self) -> int:
        """How many tokens are allowed."""
        everything = self._all.copy()
        self.apply(everything)
        return int(np.isfinite(everything["logit"]).sum())

    def commit(self, token_id: int) -> None:
        native.llama_sampler_accept(self._sampler, token_id)


def the_call(backend: LlamaCppBackend) -> list[int]:
    """A tool call as a model writes it, some hundred tokens."""
    encode = backend.tokenizer.encode
    body = "    for item in items:\n        result =+ item.price * item.count\n    return result\n"
    old = "def total(items):\n    result = 0\n" + body
    ids = encode("call:edit{find:")
    for part in (old, "path", "src/shop/basket.py", "replace", old.replace("=+", "+=")):
        if part in ("path", "replace"):
            ids += encode(f",{part}:")
        else:
            ids += [QUOTE, *encode(part), QUOTE]
    return [*ids, *encode("}"), CALL_END]


def walk(ids: list[int], watch: Stopwatch, grammar: LlamaGrammar | Constraint, mask: Callable[[], Any]) -> None:
    """Check, mask and commit along the call, as if each had to be done for every token."""
    name = "llguidance" if isinstance(grammar, Constraint) else "llama.cpp"
    for token_id in ids:
        with watch.time(f"{name} check"):
            allowed = grammar.allows(token_id)
        if not allowed:
            raise SystemExit(f"{name} refuses token {token_id} of a correct call")
        with watch.time(f"{name} mask"):
            mask()
        with watch.time(f"{name} commit"):
            grammar.commit(token_id)


def draw(backend: LlamaCppBackend, vocabulary: GrammarVocabulary, ids: list[int], watch: Stopwatch) -> None:
    """Whole draws as the engine makes them, with Gemma's sampling, on the logits of a constructed model."""
    constraint = Constraint(LARK, vocabulary)
    constraint.commit(CALL)
    with closing(backend.sampler(SamplingParams(temperature=1.0, top_k=64, top_p=0.95, seed=1))) as sampler:
        for token_id in ids:
            with watch.time("draw free"):
                sampler.sample(0)
            with watch.time("draw constrained"):
                sample_constrained(sampler, 0, constraint)
            mask: Mask = constraint.mask()
            with watch.time("draw masked"):
                sampler.sample(0, mask)
            constraint.commit(token_id)


def main() -> int:
    """Print one line a claim; 1 when one does not hold."""
    if not REAL_VOCABULARY.exists():
        print("bench.constraint needs ggml-vocab-gemma-4.gguf in the optional data folder.", file=sys.stderr)
        return 2
    watch = Stopwatch()
    model = target(Shape(real_vocabulary=True))
    with closing(LlamaCppBackend.load(model, n_ctx=256, n_batch=32, n_threads=1)) as backend:
        backend.decode(Batch([2], [0], [0], [True]))
        ids = the_call(backend)
        vocabulary = GrammarVocabulary(backend.tokenizer)
        with watch.time("build"):
            vocabulary.warm()
        with watch.time("compile"):
            constraint = Constraint(LARK, vocabulary)
        constraint.commit(CALL)
        walk(ids, watch, constraint, constraint.mask)
        own = LlamaGrammar(lib.llama_model_get_vocab(native.llama_get_model(backend.context)), vocabulary.n_vocab)
        walk(ids, watch, own, own.mask)
        draw(backend, vocabulary, ids, watch)
    return report_all(watch, len(ids))


def report_all(watch: Stopwatch, count: int) -> int:
    """The bars: 2 % of a decode step of 20 ms is 0.4 ms; a session starts without a noticeable wait."""
    everything = "all 262,144 tokens masked"
    lines: list[tuple[str, float, str, str | None]] = [
        ("tokens of the measured call", count, "tokens", None),
        ("llguidance: vocabulary built, once a model", watch.worst("build"), "ms", "<= 3000"),
        ("llguidance: grammar compiled, once a session", watch.worst("compile"), "ms", "<= 50"),
        ("llguidance: one token checked, median", watch.median("llguidance check"), "ms", "<= 0.02"),
        ("llguidance: one token committed, median", watch.median("llguidance commit"), "ms", "<= 0.05"),
        (f"llguidance: {everything}, median", watch.median("llguidance mask"), "ms", "<= 0.4"),
        (f"llguidance: {everything}, worst", watch.worst("llguidance mask"), "ms", "<= 20"),
        ("llama.cpp: one token checked, median", watch.median("llama.cpp check"), "ms", None),
        ("llama.cpp: one token committed, median", watch.median("llama.cpp commit"), "ms", None),
        (f"llama.cpp: {everything}, median", watch.median("llama.cpp mask"), "ms", None),
        (f"llama.cpp: {everything}, worst", watch.worst("llama.cpp mask"), "ms", None),
        ("free draw (top-k 64, top-p 0.95), median", watch.median("draw free"), "ms", None),
        ("constrained draw: free, checked, rarely masked; median", watch.median("draw constrained"), "ms", None),
        ("draw among masked tokens, median", watch.median("draw masked"), "ms", None),
        ("draw among masked tokens, worst", watch.worst("draw masked"), "ms", None),
    ]
    held = [report(*line) for line in lines]  # every line is printed, also behind one that fails
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
