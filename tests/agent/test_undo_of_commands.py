"""What a command did to files is taken back by ``agent undo``, and done again by ``agent redo``, in both tiers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.assembly import Wish, open_session
from agent.config import Config
from agent.confinement import Commands
from agent.setup import Setup
from tests.fakes.confined import TIERS, Confined, folder_at_home, git
from tests.fakes.scripted_model import Call, Scripted, ScriptedModel
from tests.fakes.sessions import collect
from tools.sandbox.policy import Tier

ROOT = Path(__file__).parents[2]
COMMAND = (
    "rm -r old; mv a.txt renamed.txt; chmod 755 run.sh; echo more >> c.txt; printf '\\000\\377' > new.bin; "
    "mkdir -p made/deep && echo x > made/deep/f.txt; mv d/one.txt d/two.txt; : > empty.txt"
)


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every folder and file but git's, with its rights and content."""
    found: dict[str, tuple[int, bytes]] = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root).as_posix()
        if relative.split("/")[0] != ".git":
            found[relative] = (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
    return found


def repository(root: Path) -> None:
    texts = {"a.txt": "a\n", "c.txt": "c\n", "run.sh": "#!/bin/sh\n", "old/x.txt": "x\n", "old/y/z.txt": "z\n"}
    for name, text in {**texts, "d/one.txt": "1\n", "d/kept.txt": "k\n", "empty.txt": "not yet\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "a.txt").chmod(0o640)
    git(root, "init", "-q")


def agent(home: Path, workspace: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "agent", *arguments]
    done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("tier", TIERS)
def test_deleted_renamed_changed_and_new_files_and_rights(tier: Tier) -> None:
    with folder_at_home() as home:
        workspace = home / "project"
        workspace.mkdir()
        repository(workspace)
        before = tree(workspace)
        confined = Confined(tier, workspace)
        setup = Setup(Config(mode="yolo"), workspace, workspace, home / ".local/state/gemma-agent")
        model = ScriptedModel([Scripted("", calls=(Call("bash", {"command": COMMAND}),)), Scripted("Done.")])

        async def run() -> None:
            session = open_session(setup, model, Wish(commands=Commands(confined.sandbox, "", lambda: None))).session
            await collect(session.submit("Tidy up."))
            await session.close()

        asyncio.run(run())
        confined.sandbox.close()
        after = tree(workspace)
        assert after["renamed.txt"][1] == b"a\n"
        assert "old" not in after
        agent(home, workspace, "undo")
        assert tree(workspace) == before
        agent(home, workspace, "redo")
        assert tree(workspace) == after
        agent(home, workspace, "undo")
        assert tree(workspace) == before
