"""How likely given texts are: plain ones behind a prefix, and answers to questions. Nothing is generated.

It keeps no transcript; the engine finds out by itself what it has read already.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence

from agent.model import TokenScore
from agent.model.formats.base import ChatFormat, Tail
from agent.model.formats.literal import LiteralEncoder
from inference.engine import Engine
from inference.request import Request, Scored
from inference.sequence import common_prefix

Ids = tuple[int, ...]


async def score_texts(engine: Engine, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
    """For each plain text its tokens with their log-probabilities behind ``prefix``; raises EngineError."""
    tokenizer = engine.tokenizer
    start = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    tokens = (*start, *tokenizer.encode(prefix)) or tuple(tokenizer.encode("\n"))
    wanted = [tuple(tokenizer.encode(text)) for text in texts]
    scores = await _log_probabilities(engine, tokens, wanted)
    return [
        [TokenScore(tokenizer.piece(i).decode("utf-8", "replace"), p) for i, p in zip(ids, found, strict=True)]
        for ids, found in zip(wanted, scores, strict=True)
    ]


async def shares(
    engine: Engine, chat_format: ChatFormat, questions: Sequence[str], answers: Sequence[str]
) -> list[list[float]]:
    """For each question (a user message) how the model divides its belief among the answers; each row adds up to 1.

    What the questions begin with alike is read once. Raises EngineError.
    """
    encoder = LiteralEncoder(engine.tokenizer)
    begin = chat_format.begin("", ())
    cue = chat_format.cue(Tail.USER, "none").ids
    if not questions:
        return []
    prompts = [(*begin, *chat_format.user(question), *cue) for question in questions]
    replies = [tuple(encoder.encode(answer)) for answer in answers]
    shared = min(common_prefix(prompts[0], prompt) for prompt in prompts)
    if len(prompts) == 1:
        shared -= 1  # something must be left to be read behind the prompt
    wanted = [(*prompt[shared:], *reply) for prompt in prompts for reply in replies]
    scores = await _log_probabilities(engine, prompts[0][:shared], wanted)
    sums = [sum(found[-len(replies[number % len(replies)]) :]) for number, found in enumerate(scores)]
    return [_normalised(sums[at : at + len(replies)]) for at in range(0, len(sums), len(replies))]


async def _log_probabilities(engine: Engine, prefix: Ids, wanted: Sequence[Ids]) -> tuple[tuple[float, ...], ...]:
    request = Request(f"score-{uuid.uuid4().hex}", prefix, 0, score=tuple(wanted))
    found: tuple[tuple[float, ...], ...] = ()
    async for event in engine.submit(request):
        if isinstance(event, Scored):
            found = event.log_probs
    return found


def _normalised(logarithms: Sequence[float]) -> list[float]:
    highest = max(logarithms)
    parts = [math.exp(each - highest) for each in logarithms]
    return [part / sum(parts) for part in parts]
