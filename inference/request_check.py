"""Refuses requests that would be a fault in the middle of the engine, and so disturb the requests of others.

It knows what values may be, not what they mean; types were checked where the request came in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from inference.errors import InvalidRequest
from inference.request import Request, SamplingParams

MOST_BRANCHES = 256
_LARGEST = 1 << 31  # what llama.cpp counts with is 32 bits wide


def check_request(request: Request, n_vocab: int) -> None:
    """Raise InvalidRequest for ids outside of the vocabulary and numbers out of range."""
    if not request.tokens:
        raise InvalidRequest("A prompt needs at least one token.")
    for ids in _id_lists(request):
        if ids and not (min(ids) >= 0 and max(ids) < n_vocab):
            raise InvalidRequest(f"A request has token ids outside of the model's {n_vocab:,}.")
    numbers = (request.max_tokens, request.static, *request.checkpoints, *(b.max_tokens for b in request.branches))
    if not all(0 <= number < _LARGEST for number in numbers) or len(request.branches) > MOST_BRANCHES:
        raise InvalidRequest("A request has lengths or counts out of range.")
    for params in (request.sampling, *(branch.sampling for branch in request.branches)):
        _check_sampling(params)


def _id_lists(request: Request) -> Iterator[Sequence[int]]:
    yield request.tokens
    yield from request.references
    yield from request.score
    yield from (branch.tokens for branch in request.branches)


def _check_sampling(params: SamplingParams) -> None:
    shares = (params.top_p, params.min_p)
    usable = math.isfinite(params.temperature) and params.temperature >= 0 and 0 <= params.top_k < _LARGEST
    if not usable or not all(0 <= share <= 1 for share in shares):
        raise InvalidRequest("A request has sampling parameters out of range.")
