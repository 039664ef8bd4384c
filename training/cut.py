"""Makes the vocabulary: counts which of Gemma 4's tokens Python source and our prompts need, and keeps those.

    python -m training.cut --whole shared/data/ggml-vocab-gemma-4.gguf --size 6144 --out run/vocabulary.gguf

Counting again with the tokens that are left shows which pieces the dropped ones fall into; three rounds settle it.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from gguf import GGUFWriter

import prompts
from inference.backend.bindings import lib, native_log
from inference.backend.llama_tokenizer import LlamaCppTokenizer
from training.shape import Shape, add_settings
from training.sources import all_sources
from training.vocabulary import Vocabulary, cut, read_vocabulary

_ROUNDS = 3
_PROMPT_WEIGHT = 200  # every session reads the prompts, and no file of the corpus
# What test runners say around every failure.
_FAILURES = """\
>       assert {name}({value!r}) == {other!r}
E       AssertionError: assert {value!r} == {other!r}
E        +  where {value!r} = {name}({other!r})
E       TypeError: {name}() missing 1 required positional argument: '{name}'
E       TypeError: {name}() takes 1 positional argument but 2 were given
E       NameError: name '{name}' is not defined. Did you mean: '{name}'?
E       AttributeError: 'str' object has no attribute '{name}'. Did you mean: '{name}'?
E       AttributeError: module '{name}' has no attribute '{name}'
E       UnboundLocalError: cannot access local variable '{name}' where it is not associated with a value
E       IndexError: list index out of range
E       KeyError: {value!r}
E       ValueError: not enough values to unpack (expected 2, got 1)
E       IndentationError: unexpected indent
E       IndentationError: expected an indented block after 'if' statement on line 12
E       SyntaxError: expected ':'
E       SyntaxError: '(' was never closed
E       SyntaxError: unmatched ')'
`python -m pytest -q` fails. 1 failed, 2 passed in 0.12s
tests/test_{name}.py:12: AssertionError
"""


def write_vocabulary(path: Path, vocabulary: Vocabulary) -> None:
    """A model file without weights."""
    writer = GGUFWriter(path, "gemma4")
    writer.add_name("Gemma 4 vocabulary, cut")
    writer.add_license("apache-2.0")
    add_settings(writer, Shape(len(vocabulary.tokens)))
    vocabulary.add_to(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def open_tokenizer(path: Path) -> Generator[LlamaCppTokenizer]:
    """llama.cpp's tokenizer over the vocabulary of a file, weights or not; raises ValueError for a file it refuses."""
    native_log().clear()
    params = lib.llama_model_default_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ValueError(f"{path} cannot be read: {native_log().reason()}")
    tokenizer = LlamaCppTokenizer(cast("Any", lib.llama_model_get_vocab(model)))
    try:
        yield tokenizer
    finally:
        tokenizer.close()
        lib.llama_model_free(model)


def corpus(megabytes: float, seed: int = 0) -> list[tuple[str, int]]:
    """Texts and how often each counts: files for training in an order drawn by ``seed``, then prompts and failures."""
    sources = [source for source in all_sources() if not source.held_out]
    random.Random(seed).shuffle(sources)
    texts: list[tuple[str, int]] = []
    left = megabytes * 1e6
    for source in sources:
        text = source.text()
        if text is not None and left > 0:
            texts.append((text, 1))
            left -= len(text)
    folder = Path(prompts.__file__).parent
    texts += [(path.read_text("utf-8"), _PROMPT_WEIGHT) for path in sorted(folder.rglob("*.md"))]
    names = ("value", "parse", "text", "items", "first")
    texts += [(_FAILURES.format(name=name, value=[1, 2], other="a b"), _PROMPT_WEIGHT) for name in names]
    return texts


def count(tokenizer: LlamaCppTokenizer, texts: Sequence[tuple[str, int]]) -> Counter[int]:
    """How often each id occurs."""
    found: Counter[int] = Counter()
    for text, weight in texts:
        for number, times in Counter(tokenizer.encode(text)).items():
            found[number] += weight * times
    return found


def make(whole_path: Path, size: int, texts: Sequence[tuple[str, int]]) -> Vocabulary:
    """The cut vocabulary: first generously, then again and again by what is still used."""
    whole = read_vocabulary(whole_path)
    path, current = whole_path, whole
    with tempfile.TemporaryDirectory() as folder:
        for number in reversed(range(_ROUNDS)):
            with open_tokenizer(path) as tokenizer:
                counts = count(tokenizer, texts)
            current = cut(current, counts, round(size * 2 ** (number / 2)))
            path = Path(folder) / f"{number}.gguf"
            write_vocabulary(path, current)
    return current


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--whole", type=Path, required=True, help="a GGUF file with Gemma 4's vocabulary")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=6144)
    parser.add_argument("--megabytes", type=float, default=8.0, help="of Python source that is looked at")
    args = parser.parse_args()
    texts = corpus(args.megabytes)
    vocabulary = make(args.whole, args.size, texts)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_vocabulary(args.out, vocabulary)
    sample = [text for text, weight in texts if weight == 1][:100]
    characters = sum(map(len, sample))
    with open_tokenizer(args.out) as few, open_tokenizer(args.whole) as many:
        lengths = [sum(len(each.encode(text)) for text in sample) for each in (few, many)]
    shares = {"characters a token": round(characters / lengths[0], 3), "whole": round(characters / lengths[1], 3)}
    print(json.dumps({"tokens": len(vocabulary.tokens), "merges": len(vocabulary.merges), **shares}))


if __name__ == "__main__":
    main()
