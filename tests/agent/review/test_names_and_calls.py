"""Names and calls that a change broke, and only those."""

from __future__ import annotations

import pytest

from agent.review.calls import check_callers, check_calls
from agent.review.findings import Finding
from agent.review.names import check_names
from agent.review.repository import Repository
from tests.agent.review.test_checks_and_passages import changed

OLD = "import os\n\n\ndef f(path):\n    return os.stat(path)\n"


def headlines(findings: list[Finding]) -> list[tuple[int, str]]:
    return [(finding.start, finding.headline) for finding in findings]


def test_an_undefined_name_is_found_where_it_was_written() -> None:
    new = OLD.replace("os.stat(path)", "os.stat(pathh)")
    assert headlines(check_names(changed(OLD, new))) == [(5, "[P1] Undefined name 'pathh'")]


def test_a_name_that_is_gone_is_found_though_its_use_was_not_touched() -> None:
    (finding,) = check_names(changed(OLD, OLD.replace("import os\n", "")))
    assert finding.headline == "[P1] Undefined name 'os'"
    assert "line 4" in finding.body


def test_an_import_that_nobody_uses_is_a_remark_and_a_package_may_have_it() -> None:
    new = OLD.replace("import os\n", "import os\nimport sys\n")
    assert headlines(check_names(changed(OLD, new))) == [(2, "[P3] 'sys' imported but unused")]
    assert check_names(changed(OLD, new, "pkg/__init__.py")) == []
    assert check_names(changed(OLD, new.replace("import sys", "import sys  # noqa: F401"))) == []


def test_what_was_wrong_before_is_not_this_changes_fault() -> None:
    old = OLD.replace("os.stat(path)", "os.stat(pathh)")
    assert check_names(changed(old, old + "\n\nX = 1\n")) == []


def test_a_format_that_does_not_fit_its_arguments_is_grave() -> None:
    (finding,) = check_names(changed("", "def f(a):\n    return '%s %s' % (a,)\n"))
    assert int(finding.priority) == 1


def test_a_file_in_another_language_or_broken_has_no_names() -> None:
    assert check_names(changed("", "undefined\n", "a.js")) == []
    assert check_names(changed("", "def f(:\n")) == []


DEFINITIONS = """\
def area(width, height, *, unit='m'):
    return width


class Box:
    def __init__(self, name):
        pass
"""


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        ("area(1)", "area() needs height as well"),
        ("area(1, 2, 3)", "area() takes at most 2 positional arguments, and 3 are given"),
        ("area(1, 2, units='m')", "area() has no parameter units"),
        ("area(1, width=2)", "area() gets width twice"),
        ("Box()", "Box() needs name as well"),
        ("area(1, 2)", None),
        ("area(1, height=2, unit='m')", None),
        ("area(*sides)", None),
        ("area(1, **more)", None),
        ("Box('a')", None),
        ("unknown(1, 2, 3)", None),
    ],
)
def test_a_call_is_held_against_its_definition(call: str, wrong: str | None) -> None:
    found = check_calls(changed(DEFINITIONS, f"{DEFINITIONS}\n\nX = {call}\n"), Repository().read)
    assert [each.title for each in found] == ([wrong] if wrong else [])
    files = {"shop/shapes.py": DEFINITIONS}
    new = f"from shop.shapes import Box, area\n\nX = {call}\n"
    found = check_calls(changed("", new), files.get)
    assert [each.title for each in found] == ([wrong] if wrong else []), "imported from the repository"


@pytest.mark.parametrize(
    "more",
    [
        "@decorated\ndef g(a):\n    pass\n",
        "def g(a):\n    pass\n\n\ng = wrapped(g)\n",
        "def g(a):\n    pass\n\n\ndef g(a, b):\n    pass\n",
        "class g(Base):\n    def __init__(self, a):\n        pass\n",
        "def h(g):\n    g(1, 2)\n\n\ndef g(a):\n    pass\n",
    ],
    ids=["decorated", "assigned again", "defined twice", "with a base", "also a parameter"],
)
def test_what_may_be_another_thing_at_run_time_is_left_alone(more: str) -> None:
    assert check_calls(changed("", f"{more}\n\nX = g(1, 2)\n"), Repository().read) == []


def test_a_relative_import_is_followed() -> None:
    files = {"shop/shapes.py": DEFINITIONS}
    file = changed("", "from .shapes import area\n\nX = area(1)\n", "shop/use.py")
    assert [each.title for each in check_calls(file, files.get)] == ["area() needs height as well"]


def test_a_caller_elsewhere_that_no_longer_fits_is_named_at_the_definition() -> None:
    new = DEFINITIONS.replace("width, height,", "width, height, depth,")
    use = "from shapes import area\n\nX = area(1, 2)\n"
    files = {"shop/shapes.py": new, "shop/use.py": use, "other.py": "area(1)\n"}
    repository = Repository(files.get, lambda word: list(files) if word == "area" else [])
    file = changed(DEFINITIONS, new, "shop/shapes.py")
    found = check_callers(file, repository)
    assert [(each.start, each.title) for each in found] == [
        (1, "area() needs depth as well: see the call in shop/use.py:3")
    ]
    files["shop/use.py"] = files["shop/use.py"].replace("(1, 2)", "(1, 2, 3)")
    assert check_callers(file, repository) == [], "the change took the caller along"
