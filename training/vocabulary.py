"""Cuts Gemma 4's vocabulary down to the tokens that Python source and this program's own prompts need.

It counts nothing itself (``training.cut`` does) and knows no weights. Control tokens, runs of line feeds and spaces,
tags and bytes keep their ids, so that chat formats and llama.cpp's tokenizer find everything where they expect it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from gguf import GGUFWriter

KEPT_IDS = 494
"""Ids 0 to 493 are control tokens, runs of line feeds and spaces, HTML tags, and the 256 bytes."""

_SPACE = "▁"
# What every text may hold: a character without a token of its own would be several byte tokens.
_CHARACTERS = frozenset([_SPACE, "\t", *map(chr, range(0x21, 0x7F))])
_LENGTH = struct.Struct("<Q")
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # GGUF value types -> bytes
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens as they stand in a GGUF file (a space is ``▁``), their types, and BPE merges, the first the strongest.

    A merge is two tokens with a space between them.
    """

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]

    def add_to(self, writer: GGUFWriter) -> None:
        """Write it as the tokenizer of a model file."""
        writer.add_tokenizer_model("gemma4")
        writer.add_token_list(list(self.tokens))
        writer.add_token_types(list(self.types))
        writer.add_token_merges(list(self.merges))
        writer.add_bos_token_id(2)
        writer.add_eos_token_id(1)
        writer.add_unk_token_id(3)
        writer.add_pad_token_id(0)
        writer.add_add_bos_token(True)
        writer.add_add_space_prefix(False)


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a GGUF file; gguf's own reader takes 40 s for 262,144 tokens, this one a second.

    Raises KeyError where there is none.
    """
    arrays = dict(_arrays(path.read_bytes()))
    tokens, types, merges = (arrays[f"tokenizer.ggml.{name}"] for name in ("tokens", "token_type", "merges"))
    return Vocabulary(tuple(tokens), tuple(types), tuple(merges))


def cut(whole: Vocabulary, counts: Mapping[int, int], size: int) -> Vocabulary:
    """The vocabulary of ``size`` tokens that keeps those that occur most often.

    ``counts`` says how often each id of ``whole`` occurs in the texts that matter. With a token come all that it is
    merged from, so that it can still be reached; merges are kept wherever their three tokens are. The order of ids is
    that of ``whole``. Raises ValueError where ``size`` is too small for what is always kept.
    """
    ids = {token: number for number, token in enumerate(whole.tokens)}
    parts = Merging(whole.merges)
    kept = set(range(KEPT_IDS)) | {ids[character] for character in _CHARACTERS}
    if len(kept) > size:
        raise ValueError(f"{len(kept)} tokens are always kept; {size} are too few")
    for number in sorted(counts, key=lambda number: (-counts[number], number)):
        needed = {ids[part] for part in parts.ancestry(whole.tokens[number])} - kept
        if len(kept) + len(needed) <= size:
            kept |= needed
        if len(kept) == size:
            break
    order = sorted(kept)
    tokens = tuple(whole.tokens[number] for number in order)
    return Vocabulary(tokens, tuple(whole.types[number] for number in order), _closed(whole.merges, set(tokens)))


class Merging:
    """Byte-pair encoding of single tokens, in Python: for the few texts that are tokens themselves."""

    def __init__(self, merges: Iterable[str]) -> None:
        self._ranks: dict[tuple[str, str], int] = {}
        for rank, merge in enumerate(merges):
            self._ranks.setdefault(split_merge(merge), rank)

    def ancestry(self, token: str) -> set[str]:
        """The token, every token that it is merged from, and the characters it begins with.

        Tokens that no merges lead to (control tokens, bytes) stand alone.
        """
        parts, seen = list(token), set(token)
        while len(parts) > 1:
            found = [(self._ranks[pair], at) for at, pair in enumerate(pairwise(parts)) if pair in self._ranks]
            if not found:
                return {token}
            at = min(found)[1]
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
            seen.add(parts[at])
        return seen


def split_merge(merge: str) -> tuple[str, str]:
    """The two tokens of a merge; the first may be a space itself, as llama.cpp reads it."""
    at = merge.index(" ", 1)
    return merge[:at], merge[at + 1 :]


def _closed(merges: Iterable[str], tokens: set[str]) -> tuple[str, ...]:
    """The merges whose parts and whose result are all among ``tokens``, in their order."""
    pairs = ((merge, *split_merge(merge)) for merge in merges)
    return tuple(m for m, left, right in pairs if left in tokens and right in tokens and left + right in tokens)


def _arrays(data: bytes) -> Iterator[tuple[str, list[Any]]]:
    """Keys and values of the arrays of strings and of 32-bit integers in a GGUF header."""
    at = 24
    for _ in range(_length(data, 16)):
        end = at + 8 + _length(data, at)
        key, at = data[at + 8 : end].decode(), end + 4
        kind = data[end]
        if kind == _STRING:
            at += 8 + _length(data, at)
        elif kind != _ARRAY:
            at += _SIZES[kind]
        else:
            element = data[at]
            count = _length(data, at + 4)
            at += 12
            if element == _STRING:
                values, at = _strings(data, at, count)
                yield key, values
                continue
            if element in (4, 5):
                yield key, list(struct.unpack_from(f"<{count}i", data, at))
            at += count * _SIZES[element]


def _length(data: bytes, at: int) -> int:
    return _LENGTH.unpack_from(data, at)[0]


def _strings(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    """``count`` strings that begin at a place, and the place behind them."""
    values: list[Any] = []
    for _ in range(count):
        end = at + 8 + _length(data, at)
        values.append(data[at + 8 : end].decode())
        at = end
    return values, at
