"""One sample of training data, and files of them: token ids, and which of them the model has to say.

It makes none (``training.sessions`` and ``training.drills`` do).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_DTYPE = "<u2"  # a cut vocabulary has fewer than 65,536 tokens


@dataclass(frozen=True, slots=True)
class Sample:
    """``ids`` is everything that was read and said; ``said`` are the half-open ranges of it that the model wrote.

    The first ``static`` ids (system prompt and tools) are the same in all sessions of a kind. ``kind`` names the bug or
    the drill, ``origin`` the file it comes from; ``held_out`` ones are for evaluation.
    """

    ids: tuple[int, ...]
    said: tuple[tuple[int, int], ...]
    kind: str
    origin: str = ""
    static: int = 0
    held_out: bool = False

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Which ids the model wrote; as long as ``ids``."""
        mask = np.zeros(len(self.ids), np.bool_)
        for start, end in self.said:
            mask[start:end] = True
        return mask

    def line(self) -> str:
        """The sample as a line of JSON."""
        ids = base64.b64encode(np.array(self.ids, _DTYPE).tobytes()).decode()
        rest = {"said": self.said, "kind": self.kind, "origin": self.origin, "static": self.static}
        return json.dumps({**rest, "held_out": self.held_out, "ids": ids}, separators=(",", ":"))

    @classmethod
    def of(cls, line: str) -> Sample:
        """What ``line`` gave; raises ValueError or KeyError where it is none."""
        data = json.loads(line)
        ids = np.frombuffer(base64.b64decode(data["ids"]), _DTYPE)
        said = tuple((start, end) for start, end in data["said"])
        return cls(tuple(ids.tolist()), said, data["kind"], data["origin"], data["static"], data["held_out"])


def write_samples(path: Path, samples: Iterable[Sample]) -> int:
    """Append samples to a file as they come; how many. A last line that was not finished is taken off first."""
    count = 0
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        for sample in samples:
            file.write(sample.line().encode() + b"\n")
            file.flush()
            count += 1
    return count


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a file; a last line that was not finished is left out."""
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                yield Sample.of(line)
