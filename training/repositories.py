"""Lays a function with a bug out as a repository: the whole file that it stands in, and a test that fails for the bug.

It runs nothing but git.
"""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

from training.bugs import Bug
from training.specimens import Specimen

COMMAND = "python -m pytest -q"
"""What runs a repository's tests."""

_SETTINGS = "[pytest]\naddopts = -p no:hypothesispytest -p no:anyio -p no:timeout\n"
"""Plugins of this project's own environment would take half the time of a run, and a repository like these has none."""

_PACKAGES = ("app", "core", "library", "project", "service", "toolkit")
_IDENTITY = ("-c", "user.name=training", "-c", "user.email=training@localhost")


@dataclass(frozen=True, slots=True)
class Case:
    """A specimen with a bug, laid out as a repository in ``root``; ``path`` is the file with the bug."""

    specimen: Specimen
    bug: Bug
    root: Path
    path: str


def lay_out(specimen: Specimen, bug: Bug, root: Path, seed: int) -> Case:
    """Write the repository, committed; ``seed`` decides on names and on the form of the test."""
    chance = random.Random(seed)
    package = chance.choice(_PACKAGES)
    path = f"{package}/{specimen.module}.py"
    files = {
        path: bug.text,
        f"{package}/__init__.py": "",
        "conftest.py": "",
        "pytest.ini": _SETTINGS,
        f"tests/test_{specimen.module}.py": _test(specimen, package, chance),
    }
    for name, text in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], [*_IDENTITY, "commit", "-qm", "A function"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return Case(specimen, bug, root, path)


def _test(specimen: Specimen, package: str, chance: random.Random) -> str:
    """A test file of the examples: all in one test, or each in one of its own."""
    wanted = specimen.owner or specimen.name
    checks = [f"    assert {call} == {result}" for call, result in specimen.examples]
    title = f"test_{specimen.name.strip('_')}"
    if chance.random() < 0.5:
        tests = [f"def {title}():\n" + "\n".join(checks) + "\n"]
    else:
        tests = [f"def {title}_{number}():\n{check}\n" for number, check in enumerate(checks, start=1)]
    return f"from {package}.{specimen.module} import {wanted}\n\n\n" + "\n\n".join(tests)
