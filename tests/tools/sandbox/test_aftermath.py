"""Protected places are noted for every command, also after one that could not be prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.sandbox.aftermath import Aftermath
from tools.sandbox.planning import Plan
from tools.sandbox.policy import Policy
from tools.sandbox.private import PrivateFolder


def test_a_command_that_could_not_be_prepared_leaves_nothing_and_the_next_one_is_protected(tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    workspace.mkdir()
    private = PrivateFolder(not_in=workspace)
    aftermath = Aftermath(workspace, private)
    policy = Policy(workspace, workspace, private.temporary, (workspace,))
    plan = Plan(policy, (workspace / ".agent",), ())
    moved = private.path.rename(private.path.with_name(f"{private.path.name}-away"))
    with pytest.raises(OSError, match="pending"):
        aftermath.begin(plan, mounted=True)
    assert list(workspace.iterdir()) == []
    moved.rename(private.path)
    assert aftermath.begin(plan, mounted=True).read_only == (workspace / ".agent",)
    aftermath.end()
    private.close()
    assert list(workspace.iterdir()) == []
