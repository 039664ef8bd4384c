"""From a drafter's file to a Drafter beside a loaded target: an assistant, or a smaller model of its own.

The only drafter module that knows llama.cpp's backend; it chooses no file and no length.
"""

from __future__ import annotations

from pathlib import Path

from inference.backend import Backend
from inference.backend.llama_assistant import LlamaCppAssistant
from inference.backend.llama_cpp import LlamaCppBackend
from inference.backend.model_file import check_same_vocabulary
from inference.drafters import Drafter
from inference.drafters.draft_model import DraftModelDrafter
from inference.drafters.mtp import MtpDrafter
from inference.gguf_header import read_header
from inference.memory import ASSISTANT


def load_drafter(path: Path, target: Path, backend: Backend, n_threads: int | None = None) -> Drafter:
    """The drafter in ``path`` for the model file ``target``, which ``backend`` runs and has read nothing with yet.

    ``backend`` is a LlamaCppBackend: no other has what a drafter needs of it.

    Raises ModelLoadError, DrafterMismatch (made for another model, another vocabulary) or NotEnoughMemory.
    """
    if not isinstance(backend, LlamaCppBackend):
        raise TypeError(f"drafters run beside llama.cpp's backend, not {type(backend).__name__}")
    if read_header(path).architecture == ASSISTANT:
        return MtpDrafter(LlamaCppAssistant.load(path, backend))
    check_same_vocabulary(target, path)
    # Drafts are cut off again at any depth, so every position is kept.
    own = LlamaCppBackend.load(path, n_ctx=backend.info.n_ctx, n_threads=n_threads, swa_full=True)
    own.abort_with(backend)
    drafter = DraftModelDrafter(own)
    drafter.probe()
    return drafter
