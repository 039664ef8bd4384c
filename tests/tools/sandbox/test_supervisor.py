"""What Landlock knows nothing of is answered call by call: on the command's own files it works, elsewhere it fails."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.confined import Confined, folder_at_home
from tools.launch import CommandLine, Launch, file_in_memory, specification
from tools.process import Command
from tools.sandbox.confinement import confinement
from tools.sandbox.landlock import ruleset
from tools.sandbox.policy import Policy, Tier
from tools.served import LaunchServer


@pytest.fixture
def confined() -> Iterator[Confined]:
    with folder_at_home() as home:
        workspace = home / "project"
        workspace.mkdir()
        (workspace / "a.txt").write_text("one\n")
        (home / "outside.txt").write_text("outside\n")
        made = Confined(Tier.LANDLOCK, workspace)
        yield made
        made.sandbox.close()


OWN = """
import os, stat
a = os.open("a.txt", os.O_RDONLY)
os.chmod("a.txt", 0o640); assert os.stat("a.txt").st_mode & 0o777 == 0o640
os.fchmod(a, 0o600); assert os.stat("a.txt").st_mode & 0o777 == 0o600
os.chmod("a.txt", 0o644, dir_fd=os.open(".", os.O_RDONLY)); assert os.stat("a.txt").st_mode & 0o777 == 0o644
os.chmod(f"/proc/self/fd/{a}", 0o755); assert os.stat("a.txt").st_mode & 0o777 == 0o755
os.utime("a.txt", ns=(5, 7)); assert os.stat("a.txt").st_mtime_ns == 7
os.utime(a, (1, 2)); assert os.stat("a.txt").st_mtime == 2
os.utime("a.txt"); assert os.stat("a.txt").st_mtime > 1e9
os.symlink("a.txt", "link")
os.utime("link", (3, 4), follow_symlinks=False); assert os.lstat("link").st_mtime == 4
assert os.stat("a.txt").st_mtime > 1e9
os.chown("a.txt", os.getuid(), os.getgid()); os.lchown("link", -1, -1); os.fchown(a, -1, -1)
os.setxattr("a.txt", "user.k", b"v"); assert os.getxattr(a, "user.k") == b"v"
os.setxattr(a, "user.k", b""); os.removexattr("a.txt", "user.k"); assert os.listxattr("a.txt") == []
os.mkdir("d"); os.chmod("d", 0o700); os.chdir("d"); os.chmod("../a.txt", 0o600); os.chmod(".", 0o755)
os.fchmod(os.memfd_create("m"), 0o600); os.fchmod(os.pipe()[0], 0o600)
gone = os.open("gone", os.O_CREAT | os.O_RDWR); os.unlink("gone"); os.fchmod(gone, 0o600)
for wrong in (lambda: os.chmod("none", 0o600), lambda: os.fchmod(99, 0o600), lambda: os.chmod("", 0o600)):
    try:
        wrong()
    except FileNotFoundError as error:
        print("missing")
    except OSError as error:
        print(error.strerror)
print("all")
"""


def test_rights_times_owners_and_attributes_of_own_files_change_as_ever(confined: Confined) -> None:
    (confined.workspace / "own.py").write_text(OWN)
    output = confined.succeeds("/usr/bin/python3 own.py").completed.output
    assert output == "missing\nBad file descriptor\nmissing\nall\n"


def test_usual_tools_keep_rights_and_times(confined: Confined) -> None:
    os.utime(confined.workspace / "a.txt", (1e9, 1e9))
    command = (
        "chmod 750 a.txt && cp -p a.txt b.txt && tar cf t.tar a.txt && mkdir t && tar xpf t.tar -C t && "
        "install -m 700 a.txt i.txt && touch -r a.txt i.txt && stat -c '%a %Y' b.txt t/a.txt i.txt"
    )
    output = confined.succeeds(command).completed.output
    assert output == "750 1000000000\n750 1000000000\n700 1000000000\n"


def test_files_outside_keep_theirs(confined: Confined) -> None:
    outside = confined.workspace.parent / "outside.txt"
    before = outside.stat()
    refused = confined.run("chmod 777 ../outside.txt; touch -d 2001-01-01 ../outside.txt; chmod 777 ..")
    assert refused.completed.code != 0
    assert "Operation not permitted" in refused.completed.output
    assert outside.stat() == before


def _kill_launch_servers() -> None:
    subprocess.run(["pkill", "-9", "-P", str(os.getpid()), "-f", "launcher, supervisor, server"], check=True)


def test_a_launch_server_that_was_killed_is_started_anew(confined: Confined) -> None:
    confined.succeeds("true")
    _kill_launch_servers()
    assert confined.succeeds("echo again").completed.output == "again\n"


def test_a_launch_server_may_be_killed_at_any_moment_before_the_command_begins() -> None:
    async def go() -> list[str]:
        server = LaunchServer()
        try:
            return [await _echo_after_a_kill(server) for _ in range(20)]
        finally:
            server.close()

    assert asyncio.run(go()) == ["once\n"] * 20


async def _echo_after_a_kill(server: LaunchServer) -> str:
    """What a command says whose launch server is killed when it has just been looked after."""
    server.prepare()
    _kill_launch_servers()
    line = CommandLine(["/bin/echo", "once"], Path("/"), {})
    command = await Command.start(Launch((), {}, (file_in_memory(specification(line, None)),), starter=server))
    return (await command.finish(30)).output


SIGNALS = """
sleep 1000 & child=$!
kill -0 $AGENT 2>/dev/null && echo reached the agent
kill -9 -1 2>/dev/null && echo reached everybody
kill $child && wait $child; echo $?
kill -0 $$ && kill -0 0 && echo itself
"""


def test_where_landlock_lets_signals_pass_they_reach_own_processes_only(tmp_path: Path) -> None:
    workspace, temporary = tmp_path / "work", tmp_path / "tmp"
    workspace.mkdir()
    temporary.mkdir()

    async def go() -> str:
        server = LaunchServer()
        policy = Policy(workspace, workspace, temporary, (workspace,))
        environment = {"PATH": os.environ["PATH"], "AGENT": str(os.getpid())}
        line = CommandLine(["/bin/bash", "-c", SIGNALS], workspace, environment)
        server.prepare()
        try:
            number = file_in_memory(specification(line, confinement(policy, signals=True)))
            command = await Command.start(Launch((), {}, (number, ruleset(policy)), starter=server))
            return (await command.finish(30)).output
        finally:
            server.close()

    assert asyncio.run(go()) == "143\nitself\n"
