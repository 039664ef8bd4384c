"""The tests of a definition, as far as they name it: what it is meant to do, for a model that is asked about a change.

It runs no test.
"""

from __future__ import annotations

import re

from agent.review.passages import Passage
from agent.review.repository import Repository
from agent.test_paths import is_test_path
from tools.code import definitions

_MOST = 1_200  # characters: about 300 tokens, three seconds of a small model's reading on two cores
_MOST_FILES = 5


def tests_of(passage: Passage, repository: Repository) -> str:
    """Whole tests that name the passage's definition, the shortest first, within bounds; empty where there are none."""
    name = passage.name.rpartition(".")[2]
    if passage.name == passage.path or not name.isidentifier():
        return ""
    word = re.compile(rf"\b{name}\b")
    found: list[str] = []
    for path in [path for path in repository.mentions(name) if is_test_path(path)][:_MOST_FILES]:
        found += _tests(path, repository.read(path) or "", word)
    kept = ""
    for test in sorted(found, key=len):
        if len(kept) + len(test) > _MOST:
            break
        kept += test
    return kept


def _tests(path: str, text: str, word: re.Pattern[str]) -> list[str]:
    """The functions of a file that hold the word."""
    lines = text.splitlines()
    functions = [each for each in definitions(path, text.encode("utf-8", "replace")) if each.kind != "class"]
    texts = ["".join(f"{line}\n" for line in lines[each.start_line - 1 : each.end_line]) for each in functions]
    return [each for each in texts if word.search(each)]
