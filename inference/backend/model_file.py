"""Refuses what llama.cpp would answer with an abort, a bus error or the kernel's out-of-memory killer.

It loads nothing: it looks at the GGUF header and at the free memory only.
"""

from __future__ import annotations

from pathlib import Path

from inference.errors import DrafterMismatch, ModelLoadError, NotEnoughMemory
from inference.gguf_header import GgufHeader, read_header
from inference.memory import ASSISTANT, available_bytes, kv_bytes, kv_shape

_NOT_A_TARGET = {
    ASSISTANT: "a drafter, which only works beside its target model",
    "clip": "an image encoder",
}

# Settings without which llama.cpp aborts the process, or reads another model's value.
_ASSISTANT_KEYS = (
    "block_count",
    "embedding_length",
    "embedding_length_out",
    "nextn_predict_layers",
    "attention.key_length",
    "attention.value_length",
    "attention.key_length_swa",
    "attention.value_length_swa",
    "attention.sliding_window",
)


def check_model_file(path: Path) -> GgufHeader:
    """The header of ``path`` when it is whole and can be a text model on its own; else ModelLoadError.

    A truncated file would be a bus error as soon as a mapped weight behind its end is read; a missing setting needs no
    check here, llama.cpp names it.
    """
    header = read_header(path)
    architecture = header.architecture
    if architecture in _NOT_A_TARGET:
        raise ModelLoadError(f"{path} is {_NOT_A_TARGET[architecture]}; choose the model file itself.")
    if not header.tensor_count:
        raise ModelLoadError(f"{path} holds a vocabulary and no weights; choose a complete model file.")
    return header


def check_assistant_file(path: Path, width: int, n_vocab: int) -> GgufHeader:
    """The header of ``path`` when it is a Gemma 4 drafter for a target with hidden rows of ``width`` floats.

    Raises ModelLoadError for a file that llama.cpp would answer with an abort, DrafterMismatch for another target's.
    """
    header = read_header(path)
    _check_assistant(path, header, width, n_vocab)
    return header


def _check_assistant(path: Path, header: GgufHeader, width: int, n_vocab: int) -> None:
    prefix = header.architecture + "."
    if header.architecture != ASSISTANT:
        raise ModelLoadError(
            f"{path} is no Gemma 4 drafter ({header.architecture or 'of unknown kind'}); leave it out."
        )
    missing = [key for key in _ASSISTANT_KEYS if header.integer(prefix + key) < 1]
    if missing:
        raise ModelLoadError(f"The drafter {path} lacks the setting {prefix}{missing[0]}; fetch it again.")
    if header.integer(prefix + "nextn_predict_layers") != header.n_layers:
        raise ModelLoadError(f"The drafter {path} has layers that do not predict; fetch it again.")
    made_for = header.integer(prefix + "embedding_length_out")
    if made_for != width or header.n_vocab != n_vocab:
        raise DrafterMismatch(
            f"The drafter {path.name} was made for a model of width {made_for:,} with {header.n_vocab:,} tokens, not "
            f"{width:,} and {n_vocab:,}; use the drafter that comes with the model."
        )


def check_same_vocabulary(target: Path, drafter: Path) -> None:
    """Raise DrafterMismatch unless both files have the same tokens under the same ids; ModelLoadError for no model."""
    names = [read_header(path).metadata.get("tokenizer.ggml.tokens") for path in (target, drafter)]
    if names[0] != names[1]:
        raise DrafterMismatch(
            f"{drafter.name} cannot draft for {target.name}: their vocabularies differ; use a smaller model of the "
            "same family."
        )


def check_drafter(target: Path, drafter: Path) -> None:
    """Raise DrafterMismatch unless ``drafter`` was made for the model ``target``, ModelLoadError where it is none."""
    header, own = read_header(target), read_header(drafter)
    if own.architecture == ASSISTANT:
        _check_assistant(drafter, own, header.integer(f"{header.architecture}.embedding_length"), header.n_vocab)
    else:
        check_model_file(drafter)
        check_same_vocabulary(target, drafter)


def check_kv_memory(path: Path, header: GgufHeader, n_ctx: int, kv_type: str, *, swa_full: bool) -> None:
    """Raise NotEnoughMemory when ``n_ctx`` tokens (of all sequences together) do not fit into this machine's memory.

    Linux lets a process allocate more than there is and kills it when llama.cpp clears the cache, so nobody would hear
    of a failed allocation. With ``swa_full`` sliding layers hold every token too (counted at f16, the largest type).
    """
    if swa_full:
        shape = kv_shape(header)
        needed = 2 * n_ctx * (shape.full_elements + shape.sliding_elements)
    else:
        needed = kv_bytes(header, n_ctx, kv_type)
    free = available_bytes()
    if needed > free:
        raise NotEnoughMemory(
            f"A context of {n_ctx:,} tokens for {path.name} needs {needed / 2**30:.1f} GiB of memory and "
            f"{free / 2**30:.1f} GiB are free; choose a smaller context or a smaller model."
        )
