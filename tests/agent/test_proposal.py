"""Code in an answer becomes the edits that it means."""

from __future__ import annotations

from agent.proposal import Edit, code_blocks, propose

SOURCE = '''\
"""A module."""

import os


class Stack:
    """A stack."""

    def push(self, item):
        self.items.append(item)

    def pop(self):
        return self.items.pop(0)


def area(width, height):
    return width + height
'''


def apply(source: str, edits: list[Edit]) -> str:
    for edit in edits:
        assert source.count(edit.old) == 1
        source = source.replace(edit.old, edit.new)
    return source


def test_a_function_in_a_fence_replaces_the_function_of_that_name() -> None:
    answer = "The sum is wrong.\n```python\ndef area(width, height):\n    return width * height\n```\nDone."
    result = apply(SOURCE, propose(answer, {"shapes.py": SOURCE}))
    assert result == SOURCE.replace("width + height", "width * height")


def test_a_bare_method_is_moved_to_the_indentation_of_its_class() -> None:
    answer = "```python\ndef pop(self):\n    return self.items.pop()\n```"
    assert apply(SOURCE, propose(answer, {"m.py": SOURCE})) == SOURCE.replace("pop(0)", "pop()")


def test_a_class_that_shows_one_method_keeps_the_others() -> None:
    answer = "```python\nclass Stack:\n    def pop(self):\n        return self.items.pop()\n```"
    assert apply(SOURCE, propose(answer, {"m.py": SOURCE})) == SOURCE.replace("pop(0)", "pop()")


def test_a_whole_file_gives_only_the_definition_that_differs() -> None:
    answer = "```python\n" + SOURCE.replace("width + height", "width * height") + "```"
    edits = propose(answer, {"m.py": SOURCE})
    assert len(edits) == 1
    assert "width * height" in apply(SOURCE, edits)


def test_a_missing_import_comes_above_the_first_one() -> None:
    answer = "```python\nimport math\n\ndef area(width, height):\n    return math.prod([width, height])\n```"
    result = apply(SOURCE, propose(answer, {"m.py": SOURCE}))
    assert "import math\nimport os\n" in result
    assert "math.prod" in result


def test_a_new_helper_goes_with_the_function_that_needs_it() -> None:
    helper = "def times(a, b):\n    return a * b\n\n"
    answer = f"```python\n{helper}def area(width, height):\n    return times(width, height)\n```"
    result = apply(SOURCE, propose(answer, {"m.py": SOURCE}))
    assert result.index("def times") < result.index("def area")


def test_the_preferred_file_wins_where_two_have_the_name() -> None:
    answer = "```python\ndef area(width, height):\n    return width * height\n```"
    edits = propose(answer, {"a.py": SOURCE, "b.py": SOURCE}, preferred=["b.py"])
    assert {edit.path for edit in edits} == {"b.py"}


def test_prose_unchanged_code_and_unknown_names_propose_nothing() -> None:
    assert propose("I cannot see the bug.", {"m.py": SOURCE}) == []
    assert propose("```python\ndef area(width, height):\n    return width + height\n```", {"m.py": SOURCE}) == []
    assert propose("```python\ndef other():\n    return 1\n```", {"m.py": SOURCE}) == []


def test_an_unclosed_fence_and_bare_code_count_as_code() -> None:
    assert code_blocks("```python\ndef f():\n    return 1") == ["def f():\n    return 1"]
    assert code_blocks("def f():\n    return 1\n") == ["def f():\n    return 1\n"]
