"""The engine's typed errors; every message is one sentence for a person that names the thing and the next step.

Nothing here is raised for a bug of ours.

EngineError
├── ModelLoadError      the model file is missing, damaged, or of an unsupported kind
│   └── DrafterMismatch the drafter was made for another model
├── NotEnoughMemory     the weights or the KV cache do not fit
├── ContextOverflow     the prompt is longer than the context
├── EngineClosed        the engine was closed while, or before, a request was running
│   └── EngineLost      the engine's process ended unasked
├── HostUnreachable     the engine's process cannot be started, or not be spoken to
├── InvalidRequest      a request that no program of ours makes: ids outside of the vocabulary, numbers out of range
├── DecodeFailed        llama.cpp reported a failure; the sequence was dropped
│   └── KvFull          the KV memory has no room for the batch
└── InvalidGrammar      the grammar of a request cannot be compiled, or allows no token of the vocabulary
"""

from __future__ import annotations


class EngineError(Exception):
    """Anything the engine can report to a person."""


class ModelLoadError(EngineError):
    """The model file is missing, damaged, or of a kind this build cannot run."""


class DrafterMismatch(ModelLoadError):
    """A drafter has another vocabulary than the target, or other hidden rows."""


class NotEnoughMemory(EngineError):
    """The weights or the KV cache do not fit into memory."""


class ContextOverflow(EngineError):
    """The prompt does not fit into the context.

    ``needed`` and ``available`` are token counts.
    """

    def __init__(self, needed: int, available: int) -> None:
        super().__init__(
            f"The conversation needs {needed} tokens but the model's context holds {available}; "
            "compact it with /compact, or start with a larger --context."
        )
        self.needed = needed
        self.available = available


class EngineClosed(EngineError):
    """The engine was closed while, or before, a request was running."""


class EngineLost(EngineClosed):
    """The engine's process ended unasked; the next request starts another one."""


class HostUnreachable(EngineError):
    """The engine's process cannot be started, or not be spoken to."""


class InvalidRequest(EngineError):
    """A request that no program of ours makes: ids outside of the vocabulary, or numbers out of range."""


class DecodeFailed(EngineError):
    """llama.cpp reported a failure while decoding; the cached sequence was dropped."""


class KvFull(DecodeFailed):
    """The KV memory has no room for a batch; it is as it was before."""


class InvalidGrammar(EngineError):
    """The grammar of a request cannot be compiled, or allows no token of the vocabulary."""
