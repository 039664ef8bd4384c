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
    wanted = [tuple(tokenizer.encode(text)) for text in texts]
    scores = await _log_probabilities(engine, _beginning(engine, prefix), wanted)
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


async def preferences(engine: Engine, prefix: str, base: str, variants: Sequence[str]) -> list[float]:
    """For each variant how much likelier than ``base`` it is where it leaves it: the logarithm of those odds.

    Only the first token that differs counts, so reading ``base`` once tells it of any number of variants. A variant
    that never leaves it gets minus infinity. Raises EngineError.
    """
    encode = engine.tokenizer.encode
    base_ids = (*encode(base), *encode("\n"))
    split: list[tuple[int, Ids]] = []
    for variant in variants:
        ids = (*encode(variant), *encode("\n"))
        shared = common_prefix(base_ids, ids)
        split.append((shared, ids[: shared + 1]))
    apart = [(shared, ids) for shared, ids in split if len(ids) > shared < len(base_ids)]
    if not apart:
        return [-math.inf] * len(variants)
    furthest = max(shared for shared, _ in apart)
    start = _beginning(engine, prefix)
    base_scores, *scores = await _log_probabilities(
        engine, start, [base_ids[: furthest + 1], *(ids for _, ids in apart)]
    )
    odds = {ids: found[-1] - base_scores[shared] for (shared, ids), found in zip(apart, scores, strict=True)}
    return [odds.get(ids, -math.inf) for _, ids in split]


def _beginning(engine: Engine, prefix: str) -> Ids:
    """The ids of a plain text at the beginning of a sequence; at least one."""
    tokenizer = engine.tokenizer
    start = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    return (*start, *tokenizer.encode(prefix)) or tuple(tokenizer.encode("\n"))


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
