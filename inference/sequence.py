"""The token ids resident in one KV sequence, and all arithmetic on their positions.

It talks to no backend: ``inference.prefix_cache`` makes the memory follow what is recorded here.
"""

from __future__ import annotations

from collections.abc import Sequence


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids from the first on are the same; by halves, because slices are compared in C."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if list(one[low:middle]) == list(other[low:middle]):
            low = middle
        else:
            high = middle - 1
    return low


class KVSequence:
    """What one ``llama_seq_id`` holds: the token at position i is ``tokens[i]``, without gaps from position 0."""

    def __init__(self, sequence_id: int) -> None:
        self.id = sequence_id
        self._tokens: list[int] = []

    def __len__(self) -> int:
        """The number of resident tokens, which is also the position of the next one."""
        return len(self._tokens)

    @property
    def tokens(self) -> Sequence[int]:
        """The resident ids, by position; not to be changed by the caller."""
        return self._tokens

    def common_prefix(self, tokens: Sequence[int]) -> int:
        """How many tokens from position 0 agree with the resident ones."""
        return common_prefix(tokens, self._tokens)

    def reusable(self, tokens: Sequence[int]) -> int:
        """How many resident tokens a prompt may keep: not its last one, which is decoded for its logits."""
        return min(self.common_prefix(tokens), len(tokens) - 1)

    def can_cut(self, length: int, pos_min: int, n_swa: int) -> bool:
        """Whether the memory is still right after everything from position ``length`` on is dropped.

        The next token, at position ``length``, attends in a windowed layer to the ``n_swa`` positions that end with its
        own. ``pos_min`` is the lowest position that the window still holds, -1 when it holds none. Without a window
        (``n_swa`` 0), or down to nothing, every cut is safe.
        """
        return n_swa == 0 or length == 0 or 0 <= pos_min <= max(0, length - n_swa + 1)

    def append(self, tokens: Sequence[int]) -> None:
        """Record tokens that were decoded at the end."""
        self._tokens.extend(tokens)

    def cut(self, length: int) -> None:
        """Record that only the first ``length`` tokens are left."""
        del self._tokens[length:]

    def replace(self, tokens: Sequence[int]) -> None:
        """Record that the sequence holds ``tokens`` and nothing else."""
        self._tokens = list(tokens)

    def copy_from(self, other: KVSequence) -> None:
        """Record that this sequence now holds the same tokens as ``other``."""
        self._tokens = list(other._tokens)
