"""The constructed model's small vocabulary, as training has it."""

from __future__ import annotations

import pytest

from tests.constructed_gemma4 import small_vocabulary
from training.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    made = small_vocabulary()
    tokens, merges = ([each.decode() for each in part] for part in (made.tokens, made.merges))
    return Vocabulary(tuple(tokens), tuple(made.types), tuple(merges))
