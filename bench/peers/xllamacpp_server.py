"""Runs xllamacpp's server with llama-server's flags; started by the peers' own Python, so it imports nothing of ours.

It knows the flags that the bench uses and no others.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable
from typing import Any

xllamacpp: Any = importlib.import_module("xllamacpp")
FA = {"on": "ENABLED", "off": "DISABLED", "auto": "AUTO"}


def flash_attention(text: str) -> Any:
    return getattr(xllamacpp.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{FA[text]}")


def spec_types(text: str) -> list[Any]:
    names = [name.strip().replace("-", "_").upper() for name in text.split(",")]
    return [getattr(xllamacpp.common_speculative_type, f"COMMON_SPECULATIVE_TYPE_{name}") for name in names]


# flag -> (path of attributes below CommonParams, what the text becomes)
FLAGS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "-m": ("model.path", str),
    "-c": ("n_ctx", int),
    "-b": ("n_batch", int),
    "-ub": ("n_ubatch", int),
    "-t": ("cpuparams.n_threads", int),
    "-tb": ("cpuparams_batch.n_threads", int),
    "-np": ("n_parallel", int),
    "--host": ("hostnames", lambda text: [text]),
    "--port": ("port", int),
    "-md": ("speculative.draft.mparams.path", str),
    "--spec-draft-n-max": ("speculative.draft.n_max", int),
    "--spec-draft-p-min": ("speculative.draft.p_min", float),
    "--spec-ngram-mod-n-match": ("speculative.ngram_mod.n_match", int),
    "--spec-ngram-mod-n-min": ("speculative.ngram_mod.n_min", int),
    "--spec-ngram-mod-n-max": ("speculative.ngram_mod.n_max", int),
    "--spec-ngram-simple-size-n": ("speculative.ngram_simple.size_n", int),
    "--spec-ngram-simple-size-m": ("speculative.ngram_simple.size_m", int),
    "--ctx-checkpoints": ("n_ctx_checkpoints", int),
    "--checkpoint-min-step": ("checkpoint_min_step", int),
    "--cache-ram": ("cache_ram_mib", int),
    "-fa": ("flash_attn_type", flash_attention),
    "--spec-type": ("speculative.types", spec_types),
}


def main() -> None:
    params = xllamacpp.CommonParams()
    words = sys.argv[1:]
    for flag, text in zip(words[::2], words[1::2], strict=True):
        path, convert = FLAGS[flag]
        *outer, last = path.split(".")
        owner: Any = params
        for name in outer:
            owner = getattr(owner, name)
        setattr(owner, last, convert(text))
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
