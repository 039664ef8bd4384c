"""Scores of passages kept in a file, so that a review can be measured again without reading everything again.

Each line is a JSON object: the sha256 of prefix and text, the tokens' texts, and their log-probabilities.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from agent.model import TokenScore
from agent.review.judge import Scorer


class NotKeptError(Exception):
    """The file holds no score of a text, and nobody may be asked."""


class Nobody:
    """A Scorer for measuring what is kept already."""

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
        """Raises NotKeptError."""
        raise NotKeptError(prefix, *texts)


class KeptScores:
    """A Scorer on another one that asks it only for what the file does not hold. ``seconds`` is what that took."""

    def __init__(self, path: Path | None, scorer: Scorer) -> None:
        self._path = path
        self._scorer = scorer
        self._known: dict[str, list[TokenScore]] = {}
        self.seconds = 0.0
        self.asked = 0
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                row = json.loads(line)
                self._known[row["key"]] = [TokenScore(t, p) for t, p in zip(row["texts"], row["scores"], strict=True)]

    async def score(self, prefix: str, texts: Sequence[str]) -> list[list[TokenScore]]:
        """As Scorer says."""
        keys = [hashlib.sha256(f"{prefix}\0{text}".encode()).hexdigest()[:24] for text in texts]
        missing = [(key, text) for key, text in zip(keys, texts, strict=True) if key not in self._known]
        if missing:
            began = time.monotonic()
            scores = await self._scorer.score(prefix, [text for _, text in missing])
            self.seconds += time.monotonic() - began
            self.asked += 1
            for (key, _), tokens in zip(missing, scores, strict=True):
                self._keep(key, tokens)
        return [self._known[key] for key in keys]

    def _keep(self, key: str, tokens: list[TokenScore]) -> None:
        self._known[key] = tokens
        if self._path is None:
            return
        row = {"key": key, "texts": [t.text for t in tokens], "scores": [round(t.logprob, 5) for t in tokens]}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
