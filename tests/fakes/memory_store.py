"""A SequenceStore in memory, for thousands of random conversations; the rule of what is usable is written anew here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from inference.kv_file import SavedSequence
from inference.kv_store import Found


class MemoryStore:
    """Keeps everything; ``n_swa`` as in BackendInfo."""

    def __init__(self, n_swa: int) -> None:
        self.saved: dict[str, SavedSequence] = {}
        self._n_swa = n_swa

    def find(self, tokens: Sequence[int]) -> Found | None:
        best: Found | None = None
        for name, saved in self.saved.items():
            matched = 0
            while matched < min(len(tokens), len(saved.tokens)) and tokens[matched] == saved.tokens[matched]:
                matched += 1
            usable = matched
            if self._n_swa and matched < len(saved.tokens):
                usable = max((w.position for w in saved.windows if w.position <= matched), default=0)
            if usable and (best is None or usable > best.usable):
                best = Found(Path(name), usable, matched)
        return best

    def holds_static(self, tokens: Sequence[int]) -> bool:
        return str((True, *tokens)) in self.saved

    def read(self, found: Found) -> SavedSequence | None:
        return self.saved.get(str(found.path))

    def save(self, saved: SavedSequence) -> None:
        self.saved[str((saved.static, *saved.tokens.tolist()))] = saved

    def close(self) -> None:
        pass
