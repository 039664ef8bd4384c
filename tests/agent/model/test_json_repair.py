"""JSON as small models write it: what has one reading is read, the rest is refused, nothing crashes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.formats import json_repair
from tests.fakes.vocabulary import SHARED_DATA

SUITE = SHARED_DATA / "JSONTestSuite"

MENDED = {
    '{"a": 1,}': {"a": 1},
    '{"a": [1, 2,],\n}': {"a": [1, 2]},
    '{"a": "line\nline"}': {"a": "line\nline"},
    '{"a": "\\d+\\."}': {"a": "\\d+\\."},
    '{"a": "C:\\\\x \\d"}': {"a": "C:\\x \\d"},
    "{'a': 'it\\'s \"b\"'}": {"a": 'it\'s "b"'},
    '{"a": True, "b": None, "c": False}': {"a": True, "b": None, "c": False},
    '{"a": {"b": "c"}': {"a": {"b": "c"}},
    '{"a": [1, {"b": 2}': {"a": [1, {"b": 2}]},
    '{"a": """x = "1"\n"""}': {"a": 'x = "1"\n'},
    '{"a": 1} and more': {"a": 1},
    '{"a": 1, // why\n "b": 2}': {"a": 1, "b": 2},
}
REFUSED = ["", "}", '{"a": "b', '{"a" "b"}', "{a: b}", '{"a": ]}', '{"a": 1, "b"', "[" * 100_000]


@pytest.mark.parametrize("text", MENDED)
def test_a_slip_with_one_reading_is_mended(text: str) -> None:
    assert json_repair.loads(text) == MENDED[text]


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_has_no_single_reading_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_repair.loads(text)


def test_nothing_is_added_to_a_text_that_was_cut_off() -> None:
    with pytest.raises(ValueError, match="cut off"):
        json_repair.loads('{"a": [1', truncated=True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(value=VALUES)
def test_sound_json_is_read_as_it_is(value: object) -> None:
    assert json_repair.loads(json.dumps(value)) == value
    assert json_repair.loads(json.dumps(value, ensure_ascii=False, indent=1)) == value


def _suite(prefix: str) -> list[Path]:
    return sorted(SUITE.rglob(f"{prefix}_*.json"))


@pytest.mark.skipif(not SUITE.exists(), reason="JSONTestSuite is not on this machine")
def test_every_good_file_of_the_test_suite_is_read_as_the_standard_library_does() -> None:
    files = _suite("y")
    assert len(files) > 50
    for path in files:
        text = path.read_text("utf-8")
        assert json_repair.loads(text) == json.loads(text), path.name


@pytest.mark.skipif(not SUITE.exists(), reason="JSONTestSuite is not on this machine")
def test_no_bad_file_of_the_test_suite_fails_in_any_other_way_than_being_refused() -> None:
    for path in _suite("n") + _suite("i"):
        try:
            json_repair.loads(path.read_bytes().decode("utf-8", "replace"))
        except ValueError:
            continue
