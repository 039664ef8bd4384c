"""Which command tests a repository, guessed from the files in it, as a beginning for the user to change.

It runs nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

_BY_FILE = (
    ("Cargo.toml", "cargo test"),
    ("go.mod", "go test ./..."),
    ("pom.xml", "mvn -q test"),
    ("build.gradle", "gradle test"),
    ("build.gradle.kts", "gradle test"),
    ("mix.exs", "mix test"),
    ("Rakefile", "rake test"),
)
_PYTHON = ("pyproject.toml", "pytest.ini", "setup.py", "setup.cfg", "tox.ini", "tests", "test")
_MOST_BYTES = 200_000


def guess_test_command(root: Path) -> str:
    """A command line; empty when nothing points at one."""
    if re.search(r"^test\s*:", _text(root / "Makefile"), re.MULTILINE):
        return "make test"
    if _npm_test(root / "package.json"):
        return "npm test"
    for name, command in _BY_FILE:
        if (root / name).is_file():
            return command
    python = any((root / name).exists() for name in _PYTHON) or any(root.glob("test_*.py"))
    return "pytest -q" if python else ""


def _npm_test(path: Path) -> bool:
    try:
        return bool(json.loads(_text(path))["scripts"]["test"])
    except (ValueError, KeyError, TypeError):
        return False


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
