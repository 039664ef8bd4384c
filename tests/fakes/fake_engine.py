"""An Engine that plays scripted answers as token ids; it decodes nothing and caches nothing.

Prefix reuse is pretended as the in-process engine would do it, so that stats add up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import takewhile

from inference.errors import ContextOverflow, EngineClosed
from inference.request import EngineEvent, Finished, FinishReason, PrefillProgress, Request, Stats, TokensDecoded
from inference.tokenizer import Tokenizer
from tests.fakes.byte_tokenizer import ByteTokenizer


class ScriptedEngine:
    """Answers the n-th request with ``answers[n]`` (ids, or an error to raise); ``requests`` records what was
    asked, and ``background`` what was only to be read.

    An answer ends with STOP at its first stop id, with LENGTH at ``max_tokens`` or where the script has no more.
    """

    def __init__(
        self,
        answers: Sequence[Sequence[int] | Exception],
        tokenizer: Tokenizer | None = None,
        context_tokens: int = 8192,
        architecture: str = "fake",
    ) -> None:
        self.requests: list[Request] = []
        self.background: list[Request] = []
        self.context_tokens = context_tokens
        self.model_name = "scripted"
        self.architecture = architecture
        self.tokenizer: Tokenizer = tokenizer or ByteTokenizer()
        self._answers = list(answers)
        self._cancelled: set[str] = set()
        self._resident: list[int] = []
        self._closed = False

    async def start(self) -> None:
        """Nothing to load."""

    async def submit(self, request: Request) -> AsyncIterator[EngineEvent]:
        if self._closed:
            raise EngineClosed("The engine is closed.")
        if len(request.tokens) > self.context_tokens:
            raise ContextOverflow(len(request.tokens), self.context_tokens)
        if request.background:
            self.background.append(request)
            await asyncio.sleep(0)
            yield Finished(FinishReason.LENGTH, Stats(prefilled_tokens=len(request.tokens)))
            return
        self.requests.append(request)
        answer = self._answers[len(self.requests) - 1]
        if isinstance(answer, Exception):
            raise answer
        pairs = zip(request.tokens[:-1], self._resident, strict=False)
        cached = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        new = len(request.tokens) - cached
        self._resident = list(request.tokens)
        yield PrefillProgress(0, new, cached, 0.1)
        yield PrefillProgress(new, new, cached, 0.0)
        reason, decoded = FinishReason.LENGTH, 0
        for token in answer[: request.max_tokens]:
            await asyncio.sleep(0)
            if request.id in self._cancelled:
                reason = FinishReason.CANCELLED
                break
            self._resident.append(token)
            decoded += 1
            yield TokensDecoded((token,))
            if token in request.stop_ids:
                reason = FinishReason.STOP
                break
        yield Finished(reason, Stats(cached, new, decoded_tokens=decoded, prefill_ms=1.0, decode_ms=1.0 * decoded))

    def cancel(self, request_id: str) -> None:
        self._cancelled.add(request_id)

    async def close(self) -> None:
        self._closed = True
