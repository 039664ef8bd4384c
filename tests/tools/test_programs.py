"""What we run ourselves, outside of the sandbox, never comes from the workspace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.files import list_files, ripgrep
from tools.git import Git, find_root
from tools.programs import find_program


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A repository with programs that leave a file ``ran`` beside it."""
    root = tmp_path / "repository"
    for folder in (root / "bin", root / "sub", root / ".git"):
        folder.mkdir(parents=True)
    for name in ("git", "rg", "only-here"):
        program = root / "bin" / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        program.chmod(0o755)
    return root


def test_git_and_ripgrep_of_a_workspace_that_is_on_the_path_are_not_run(
    planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (f"{planted}/bin", "bin", f"{planted.parent}/x/../repository/bin"):
        monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
        find_root(planted)
        Git(planted).head()
        list_files(planted)
    assert not (planted.parent / "ran").exists()


@pytest.mark.parametrize("work_in", [".", "sub"])
def test_a_program_that_only_the_repository_has_is_not_there(
    planted: Path, work_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (planted.parent / "links").symlink_to(planted / "bin")
    (planted / "out").symlink_to("/usr/bin")
    for place in (planted / "bin", planted.parent / "links", planted / "out"):
        monkeypatch.setenv("PATH", str(place))
        assert find_program("only-here", planted / work_in) is None
        assert find_program("env", planted / work_in) is None


def test_a_program_elsewhere_is_found_behind_the_one_of_the_workspace(
    planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = planted.parent / "bin"
    theirs.mkdir()
    (theirs / "rg").write_text("#!/bin/sh\n")
    (theirs / "rg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{planted}/bin:{theirs}")
    assert find_program("rg", planted) == str(theirs / "rg")
    assert find_program("rg", planted.parent / "elsewhere") == str(planted / "bin/rg")
    assert ripgrep(planted) != str(planted / "bin/rg")
