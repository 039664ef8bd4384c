"""The Engine protocol: the seam between the agent and whatever decodes tokens.

The in-process engine is in ``inference.in_process``; tests have a fake one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from inference.request import EngineEvent, Request
from inference.tokenizer import Tokenizer


class Engine(Protocol):
    """Turns Requests into streams of EngineEvents; safe to use from one asyncio loop.

    Contract: ``submit`` yields any number of PrefillProgress, then TokensDecoded, then exactly one Finished.
    Closing the returned iterator early cancels the request. Requests are served in order of submission.
    The KV cache of earlier requests is reused wherever token ids agree from position 0; callers never manage it.
    """

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's vocabulary; available after ``start``."""
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        ...

    @property
    def model_name(self) -> str:
        """``general.name`` of the model file, or its file name."""
        ...

    @property
    def architecture(self) -> str:
        """``general.architecture`` of the model file: ``gemma4``, ``qwen2``, ..."""
        ...

    async def start(self) -> None:
        """Load the model; raises ModelLoadError or NotEnoughMemory. Calling it again does nothing."""
        ...

    def submit(self, request: Request) -> AsyncIterator[EngineEvent]:
        """Run one request; raises ContextOverflow, EngineClosed or DecodeFailed while iterating."""
        ...

    def cancel(self, request_id: str) -> None:
        """End the request within one decode; its stream ends with Finished(CANCELLED). Unknown ids are ignored."""
        ...

    async def close(self) -> None:
        """Free everything; running requests end with EngineClosed."""
        ...
