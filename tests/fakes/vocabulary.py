"""Vocabularies for tests of chat formats: real ones where their files are on this machine, and made-up ones.

Real ones are read without weights, once a process.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

from inference.tokenizer import Tokenizer
from tests.fakes.byte_tokenizer import ByteTokenizer

SHARED_DATA = Path(__file__).parents[2] / "../shared/data"
GEMMA_VOCABULARY = SHARED_DATA / "ggml-vocab-gemma-4.gguf"
QWEN_FILE = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"

GEMMA_MARKERS = (
    *("<bos>", "<eos>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>"),
    *('<|"|>', "<|think|>", "<|channel>", "<channel|>", "<|turn>", "<turn|>"),
)
CHATML_MARKERS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")


class ParsingByteTokenizer(ByteTokenizer):
    """Parses its markers from plain text, as llama.cpp does with user-defined tokens: the worst case for a format."""

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        while text:
            marker = next((written for written in self._markers if text.startswith(written)), None)
            ids += [self.token_id(marker)] if marker else super().encode(text[0])
            text = text[len(marker) if marker else 1 :]
        return ids


def gemma_bytes() -> ParsingByteTokenizer:
    """Bytes and Gemma 4's markers."""
    return ParsingByteTokenizer(GEMMA_MARKERS, ("<eos>", "<|tool_response>", "<turn|>"))


def chatml_bytes() -> ParsingByteTokenizer:
    """Bytes and Qwen's markers."""
    return ParsingByteTokenizer(CHATML_MARKERS, ("<|endoftext|>", "<|im_end|>"))


def gemma_vocabulary() -> Tokenizer:
    """Gemma 4's real vocabulary; skips the test where its file is absent."""
    if not GEMMA_VOCABULARY.exists():
        pytest.skip(f"{GEMMA_VOCABULARY.name} is not on this machine")
    return _vocabulary(GEMMA_VOCABULARY.resolve())


def qwen_vocabulary() -> Tokenizer:
    """Qwen2.5's real vocabulary; skips the test where no model file is on this machine."""
    folder = Path(os.environ.get("GEMMA_AGENT_TEST_MODELS", "~/.cache/gemma-agent/models")).expanduser()
    if not (folder / QWEN_FILE).exists():
        pytest.skip(f"{QWEN_FILE} is not in {folder}")
    return _vocabulary((folder / QWEN_FILE).resolve())


@cache
def _vocabulary(path: Path) -> Tokenizer:
    from llama_cpp import llama_cpp as lib

    from inference.backend.llama_cpp import LlamaCppTokenizer

    lib.llama_backend_init()
    native = cast("Any", lib)
    native.llama_log_set(_silence(), None)
    params = lib.llama_model_default_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    assert model, f"{path} cannot be read"
    return cast("Tokenizer", LlamaCppTokenizer(cast("Any", lib.llama_model_get_vocab(model))))


@cache
def _silence() -> object:
    """A log callback that says nothing; llama.cpp keeps it for the life of the process."""
    from llama_cpp import llama_cpp as lib

    def ignore(_level: int, _text: bytes, _data: object) -> None:
        """Say nothing."""

    return lib.llama_log_callback(ignore)


def parse_special(tokenizer: Tokenizer, written: str, markers: tuple[str, ...] = GEMMA_MARKERS) -> list[int]:
    """Ids of a text in which markers are meant as markers: what a template's text stands for."""
    ids: list[int] = []
    rest = written
    while rest:
        at, marker = min(((rest.find(m), m) for m in markers if m in rest), default=(len(rest), ""))
        ids += tokenizer.encode(rest[:at]) if at else []
        ids += [tokenizer.token_id(marker)] if marker else []
        rest = rest[at + len(marker) :]
    return ids
