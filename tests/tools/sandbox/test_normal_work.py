"""What people do all day works inside the sandbox, in both tiers."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.command_environment import command_environment
from tests.fakes.confined import TIERS, Confined, folder_at_home, git
from tools.commands import Access, Outcome
from tools.launch import shell_line
from tools.sandbox.policy import Tier

IDENTITY = (
    "git config --get user.name >/dev/null || export GIT_AUTHOR_NAME=A GIT_COMMITTER_NAME=A EMAIL=a@example.org; "
)


@pytest.fixture(params=TIERS)
def confined(request: pytest.FixtureRequest) -> Iterator[Confined]:
    with folder_at_home() as home:
        workspace = home / "project"
        workspace.mkdir()
        git(workspace, "init", "-q", "-b", "main")
        (workspace / "a.txt").write_text("one\n")
        git(workspace, "add", ".")
        git(workspace, "commit", "-q", "-m", "first")
        made = Confined(request.param, workspace)
        yield made
        made.sandbox.close()


def test_git_shows_stages_and_commits(confined: Confined) -> None:
    command = (
        IDENTITY
        + "echo two >> a.txt; git status --short; git diff | tail -1; git commit -qam second; git log --oneline"
    )
    output = confined.succeeds(command).completed.output
    assert " M a.txt" in output
    assert "+two" in output
    assert git(confined.workspace, "log", "-1", "--format=%s").strip() == "second"
    assert git(confined.workspace, "status", "--short") == ""


def test_git_works_in_a_linked_worktree_and_leaves_the_other_alone(confined: Confined) -> None:
    linked = confined.workspace.parent / "linked"
    git(confined.workspace, "worktree", "add", "-q", str(linked), "-b", "topic")
    other = Confined(confined.sandbox.found.tier, linked)
    other.succeeds(IDENTITY + "echo new > b.txt; git add b.txt; git commit -qm topic")
    assert git(linked, "log", "-1", "--format=%s").strip() == "topic"
    assert other.run("git config core.pager evil").completed.code != 0 or "evil" not in git(linked, "config", "-l")
    assert other.run(f"echo x >> {confined.workspace}/a.txt").completed.code != 0
    other.sandbox.close()


def test_a_linked_worktree_is_made_inside_and_the_repository_stays(confined: Confined) -> None:
    confined.succeeds(IDENTITY + "git worktree add -q inner -b topic && cd inner && echo x > b.txt && git add b.txt")
    outcome = confined.succeeds(IDENTITY + "cd inner && git commit -qm topic && git worktree add -q ../second")
    assert outcome.notices == ()
    assert git(confined.workspace / "inner", "log", "-1", "--format=%s").strip() == "topic"
    assert git(confined.workspace, "worktree", "list").count("\n") == 3


def test_what_a_person_settles_in_git_while_a_command_runs_stays(confined: Confined) -> None:
    if confined.sandbox.found.tier is Tier.LANDLOCK:
        pytest.skip("there a change of git's settings may be the command's, so it is put back")

    async def go() -> Outcome:
        line = shell_line("sleep 0.5", confined.workspace, command_environment(os.environ))
        running = await confined.sandbox.start(line, Access())
        git(confined.workspace, "config", "alias.go", "!true")
        (confined.workspace / ".git/hooks/post-commit").write_text("#!/bin/sh\n")
        return await running.finish(20)

    assert asyncio.run(go()).notices == ()
    assert git(confined.workspace, "config", "alias.go").strip() == "!true"
    assert (confined.workspace / ".git/hooks/post-commit").exists()


def test_git_works_with_a_submodule(confined: Confined) -> None:
    library = confined.workspace.parent / "library"
    shutil.copytree(confined.workspace, library)
    git(confined.workspace, "submodule", "add", "-q", str(library), "lib")
    confined.succeeds(
        IDENTITY + "cd lib && echo x >> a.txt && git commit -qam inner && cd .. && git add lib && git status"
    )
    assert git(confined.workspace / "lib", "log", "-1", "--format=%s").strip() == "inner"


def test_tests_temporary_files_and_worker_processes(confined: Confined) -> None:
    (confined.workspace / "test_it.py").write_text(
        "import multiprocessing, tempfile, unittest\n\n\n"
        "def double(n):\n    return 2 * n\n\n\n"
        "class T(unittest.TestCase):\n"
        "    def test_pool(self):\n"
        "        with multiprocessing.Pool(2) as pool:\n"
        "            self.assertEqual(pool.map(double, [1, 2]), [2, 4])\n\n"
        "    def test_queue_and_lock(self):\n"
        "        queue, lock = multiprocessing.Queue(), multiprocessing.Lock()\n"
        "        with lock:\n            queue.put(3)\n"
        "        self.assertEqual(queue.get(timeout=5), 3)\n\n"
        "    def test_files(self):\n"
        "        with tempfile.NamedTemporaryFile() as file:\n            file.write(b'x')\n"
    )
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    output = confined.succeeds(f"{python} -m unittest -q; echo kept > $TMPDIR/k").completed.output
    assert "OK" in output
    assert confined.succeeds("cat $TMPDIR/k").completed.output == "kept\n"


def test_pytest_runs(confined: Confined) -> None:
    (confined.workspace / "test_a.py").write_text("def test_a(tmp_path):\n    (tmp_path / 'x').write_text('x')\n")
    assert "1 passed" in confined.succeeds(f"{sys.executable} -m pytest -q").completed.output


@pytest.mark.slow
def test_a_package_is_installed_into_a_virtual_environment(confined: Confined) -> None:
    with zipfile.ZipFile(confined.workspace / "greet-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greet/__init__.py", "WORD = 'hello'\n")
        wheel.writestr("greet-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: greet\nVersion: 1\n")
        wheel.writestr("greet-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("greet-1.dist-info/RECORD", "")
    make = f"{sys.executable} -m venv v && v/bin/pip install -q --no-index ./greet-1-py3-none-any.whl"
    command = f"{make} && v/bin/python -c 'import greet; print(greet.WORD)'"
    assert "hello" in confined.succeeds(command, Access(network=True)).completed.output


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
@pytest.mark.slow
def test_npm_installs_and_runs_scripts(confined: Confined) -> None:
    (confined.workspace / "dep").mkdir()
    (confined.workspace / "dep/package.json").write_text('{"name": "dep", "version": "1.0.0", "main": "i.js"}')
    (confined.workspace / "dep/i.js").write_text("module.exports = 42\n")
    (confined.workspace / "package.json").write_text(
        '{"name": "p", "version": "1.0.0", "scripts": {"test": "node -e \\"console.log(require(\'dep\'))\\""}}'
    )
    assert "42" in confined.succeeds("npm install --offline ./dep && npm test").completed.output


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_builds(confined: Confined) -> None:
    (confined.workspace / "Makefile").write_text("out: a.txt\n\tcp a.txt out && chmod +x out\n")
    confined.succeeds("make -s -j2 && test -x out")


def test_a_server_and_its_client_in_one_command(confined: Confined) -> None:
    if confined.sandbox.found.tier is Tier.LANDLOCK:
        pytest.skip("Landlock knows no addresses: without a network there is no loopback interface either")
    client = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000/a.txt').read())"
    server = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port=8000)"
    command = f'/usr/bin/python3 -c "{server}" 2>/dev/null & sleep 1; /usr/bin/python3 -c "{client}"'
    assert "one" in confined.run(command).completed.output


def test_an_allowed_network_is_there(confined: Confined) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}"
        assert confined.run(connect).completed.code != 0
        confined.succeeds(connect, Access(network=True))


def test_what_a_command_changed_is_known_with_what_was_before(confined: Confined) -> None:
    outcome = confined.succeeds("echo two >> a.txt; echo new > b.txt; mkdir d; echo deep > d/c.txt")
    assert [(each.path, each.before, each.after) for each in outcome.changes] == [
        ("a.txt", b"one\n", b"one\ntwo\n"),
        ("b.txt", None, b"new\n"),
        ("d/c.txt", None, b"deep\n"),
    ]
    outcome = confined.succeeds("rm b.txt; touch a.txt")
    assert [(each.path, each.before, each.after) for each in outcome.changes] == [("b.txt", b"new\n", None)]


def test_what_cannot_be_restored_is_named(confined: Confined) -> None:
    outcome = confined.succeeds("ln -s a.txt link; head -c 2000000 /dev/zero > large")
    assert outcome.changes == ()
    assert outcome.lost == ("large", "link")


def test_a_command_that_only_reads_cannot_write_the_workspace(confined: Confined) -> None:
    assert confined.run("echo x > new.txt", Access(writes=False)).completed.code != 0
    assert "one" in confined.succeeds("git status && cat a.txt", Access(writes=False)).completed.output
    assert not (confined.workspace / "new.txt").exists()


def test_nothing_of_the_sandbox_stays_in_the_workspace(confined: Confined) -> None:
    confined.succeeds("ls -A; ls -A .git")
    assert sorted(path.name for path in confined.workspace.iterdir()) == [".git", "a.txt"]
    assert not {"config.worktree", "commondir"} & {path.name for path in (confined.workspace / ".git").iterdir()}


def test_a_hidden_file_that_is_committed_looks_unchanged_to_git(confined: Confined) -> None:
    (confined.workspace / ".env").write_text("TOKEN=abcdefgh\n")
    os.utime(confined.workspace / ".env", (1e9, 1e9))  # what is as new as the index is read again by git
    git(confined.workspace, "add", "-f", ".env")
    git(confined.workspace, "commit", "-qm", "env")
    outcome = confined.run("cat .env; git status --short")
    assert "abcdefgh" not in outcome.completed.output
    if confined.sandbox.found.tier is Tier.BUBBLEWRAP:
        assert ".env" not in outcome.completed.output


def test_home_folders_are_no_workspace_to_write_in(tmp_path: Path) -> None:
    del tmp_path
    confined = Confined(TIERS[0], Path.home().resolve())
    assert confined.run("touch $HOME/gemma-agent-was-here").completed.code != 0
    confined.sandbox.close()
