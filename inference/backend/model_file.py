"""Refuses a model file that llama.cpp would answer with an abort or a bus error instead of an error code.

It loads nothing: it looks at the GGUF header only.
"""

from __future__ import annotations

from pathlib import Path

from inference.errors import ModelLoadError
from inference.gguf_header import GgufHeader, read_header

# Keys whose absence llama.cpp 0.5 answers with an uncaught exception, as tried with constructed files.
_REQUIRED = {
    "gemma4": (
        "block_count",
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.layer_norm_rms_epsilon",
        "attention.key_length_swa",
        "attention.value_length_swa",
        "attention.sliding_window",
        "attention.sliding_window_pattern",
        "embedding_length_per_layer_input",
    ),
}
_NOT_A_TARGET = {
    "gemma4-assistant": "a drafter, which only works beside its target model",
    "clip": "an image encoder",
}


def check_model_file(path: Path) -> GgufHeader:
    """The header of ``path`` when it is whole and can be a text model on its own; else ModelLoadError."""
    header = read_header(path)
    architecture = header.architecture
    if architecture in _NOT_A_TARGET:
        raise ModelLoadError(f"{path} is {_NOT_A_TARGET[architecture]}; choose the model file itself.")
    if not header.tensor_count:
        raise ModelLoadError(f"{path} holds a vocabulary and no weights; choose a complete model file.")
    for key in _REQUIRED.get(architecture, ()):
        if f"{architecture}.{key}" not in header.metadata:
            raise ModelLoadError(f"{path} lacks the setting {architecture}.{key}; fetch the model again.")
    return header
