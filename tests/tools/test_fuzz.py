"""Whatever arguments come: a result, a ToolError or a ValidationError, bounded, and nothing outside is touched."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fakes.hands import Hands
from tools.base import ToolError

BLNS = Path(__file__).parents[2] / "../shared/data/blns.json"
NAUGHTY: list[str] = json.loads(BLNS.read_text(encoding="utf-8")) if BLNS.exists() else ["naughty"]
PATHS = [
    ".", "..", "/", "", "a.py", "sub/b.txt", "sub", "../outside.txt", "../../etc/passwd", "/etc/passwd", "out", "out/x",
    "link", "fifo", "fifo.py", ".git/config", ".env", "a.py/x", "out/../a.py",
    "new/x/y.py", "\0", "~", "/proc/self/root/tmp", "a.py\n", "-x",
]  # fmt: skip

text = st.text(max_size=30) | st.sampled_from(NAUGHTY) | st.sampled_from(["", "def f():\n    pass\n", "one", "(", "\\"])
path = st.sampled_from(PATHS) | text | st.lists(st.sampled_from(PATHS), min_size=1, max_size=3).map("/".join)
number = st.integers(-5, 10**12) | st.floats() | st.booleans() | st.none()
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
replacement = st.fixed_dictionaries({"find": text, "replace": text})
SHAPES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "read": {"path": path, "offset": number, "limit": number},
    "write": {"path": path, "content": text},
    "edit": {"path": path, "replacements": st.lists(replacement, max_size=3), "find": text, "replace": text},
    "grep": {"pattern": text, "path": path, "glob": text},
    "glob": {"pattern": path},
    "symbols": {"path": path, "query": text},
    "todo": {"items": st.lists(text | st.fixed_dictionaries({"text": text, "status": text}), max_size=3)},
    # Commands are not made up: they would run.
    "bash": {"command": st.just("true"), "job": text, "kill": st.booleans(), "timeout": st.just(5)},
}


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A tool and arguments: mostly of the right shape, some missing, some of any JSON type."""
    name = draw(st.sampled_from(sorted(SHAPES)))
    arguments: dict[str, Any] = {}
    for key, fitting in SHAPES[name].items():
        kind = draw(st.integers(0, 9))
        if kind == 0 or (kind == 1 and key == "command"):
            continue
        arguments[key] = draw(anything if kind == 1 else fitting)
    return name, arguments


def prepare(folder: Path) -> Hands:
    (folder / "outside.txt").write_text("outside\n")
    root = folder / "workspace"
    root.mkdir()
    hands = Hands(root)
    for name in ("a.py", "sub/b.txt", ".git/config", ".env"):
        hands.put(name, "one\n", read=False)
    for name in ("fifo", "fifo.py"):
        os.mkfifo(root / name)
    (root / "out").symlink_to(folder)
    (root / "link").symlink_to(folder / "outside.txt")
    return hands


def outside(folder: Path) -> list[tuple[str, bytes]]:
    """Everything beside the workspace, and what nobody may change within."""
    kept = [folder / "outside.txt", folder / "workspace/.git/config", folder / "workspace/.env"]
    return [(path.name, path.read_bytes()) for path in kept] + [(path.name, b"") for path in sorted(folder.iterdir())]


async def batch(hands: Hands, made: list[tuple[str, dict[str, Any]]]) -> None:
    for name, arguments in made:
        tool = hands.tools[name]
        with contextlib.suppress(ToolError, ValidationError):
            valid = tool.arguments.model_validate(arguments)
            assert isinstance(tool.summary(valid), str)
            await tool.preview(valid, hands.context)
        with contextlib.suppress(ToolError, ValidationError):
            output = await hands.run(name, arguments)
            assert len(output.text) < 40_000


def run_fuzz(made: list[tuple[str, dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hands = prepare(folder)
        before = outside(folder)
        hands.do(batch(hands, made))
        assert outside(folder) == before


@settings(max_examples=40, deadline=None)
@given(st.lists(calls(), min_size=1, max_size=10))
def test_random_calls_do_no_harm(made: list[tuple[str, dict[str, Any]]]) -> None:
    run_fuzz(made)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(calls(), min_size=10, max_size=30))
def test_thousands_of_random_calls_do_no_harm(made: list[tuple[str, dict[str, Any]]]) -> None:
    run_fuzz(made)
