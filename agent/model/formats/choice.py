"""Which chat format a loaded model speaks, and what its name tells about it.

The architecture and the vocabulary decide; names only choose between variants of one family.
"""

from __future__ import annotations

import re

from agent.errors import ModelError
from agent.model.formats.base import ChatFormat
from agent.model.formats.chatml import ChatMLFormat
from agent.model.formats.gemma4 import Gemma4Format
from inference.engine import Engine

_BILLIONS = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s*B\b", re.IGNORECASE)
_EFFECTIVE = re.compile(r"\bE[24]B\b", re.IGNORECASE)
_SMALL = 5.0  # billions of parameters, as ModelInfo.small has it
_THINKS_FROM = 20.0  # thinking is on from 26B-A4B upwards: without it tool loops were seen to stop silently


def choose_format(engine: Engine, name: str, *, thinking: bool | None, keep_thoughts: bool = False) -> ChatFormat:
    """The format of the model that ``engine`` has loaded; raises ModelError when there is none.

    ``thinking`` None: on where the model needs it to use tools well.
    """
    tokenizer = engine.tokenizer
    try:
        if engine.architecture.startswith("gemma4"):
            think = billions(name) >= _THINKS_FROM if thinking is None else thinking
            effective = bool(_EFFECTIVE.search(name))
            return Gemma4Format(tokenizer, thinking=think, small=effective, keep_thoughts=keep_thoughts)
        return ChatMLFormat(tokenizer)
    except KeyError as error:
        raise ModelError(
            f"{name} ({engine.architecture}) speaks no chat format that is known here (it has no token {error}); "
            "choose a Gemma 4 or a Qwen2.5 instruct model."
        ) from error


def billions(name: str) -> float:
    """Parameters in billions as a model's name tells them (``26B-A4B``: 26), 0 when it does not."""
    found = [float(match[1]) for match in _BILLIONS.finditer(name)]
    return max(found, default=0.0)


def guess_small(name: str) -> bool:
    """Whether a model of this name has at most about 5 billion parameters; not when the name does not tell."""
    return 0.0 < billions(name) <= _SMALL
