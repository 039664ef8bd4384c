"""A place to attack: a home with secrets, a repository in it, listeners and victims around it; and what was harmed.

Everything that an attack aims at lies in one folder, so that each can also be run without a sandbox, to see that it
would do harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from agent.command_environment import command_environment
from tests.fakes.hands import MemoryRecorder
from tools.base import ToolContext, ToolError
from tools.bash import BashTool
from tools.commands import CommandRunner, Unconfined
from tools.limits import Limits
from tools.registry import all_tools
from tools.sandbox.planning import User
from tools.sandbox.probe import Found
from tools.sandbox.sandbox import Sandbox
from tools.workspace import Workspace

SECRET = "hunter2-correct-horse-battery"  # in every file and variable that must not be read
SLEEP = str(200_000 + os.getpid())  # how long left-over processes would sleep: of this run and no other one
THROUGH = "WENT-THROUGH"  # what an attack prints when the kernel let it do what it must not
_SECRET_FILES = (
    ".ssh/id_ed25519", ".aws/credentials", ".config/gemma-agent/config.toml", ".netrc", ".gnupg/private-keys-v1.d/key",
    ".config/gcloud/credentials.db", ".mozilla/firefox/logins.json", ".kube/config", ".bash_history",
    ".docker/config.json",    ".local/state/gemma-agent/sessions.db", ".config/google-chrome/Default/Cookies",
)  # fmt: skip
_WORKSPACE_SECRETS = (".env", "server.key", "deploy/.env.production")


@dataclass
class Listener:
    """A server on the loopback interface, and a Unix socket, that note whoever talks to them."""

    folder: Path
    heard: list[str] = field(default_factory=list[str])
    sockets: list[socket.socket] = field(default_factory=list[socket.socket])
    port: int = 0

    def start(self) -> None:
        stream = socket.create_server(("127.0.0.1", 0))
        self.port = stream.getsockname()[1]
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagram.bind(("127.0.0.1", self.port))
        local = socket.socket(socket.AF_UNIX)
        local.bind(str(self.folder / "service.sock"))
        local.listen()
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0gemma-attack-{os.getpid()}")
        abstract.listen()
        letters = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        letters.bind(str(self.folder / "letters.sock"))
        self.sockets = [stream, datagram, local, abstract, letters]
        for each, name in ((stream, "TCP"), (local, "Unix socket"), (abstract, "abstract socket")):
            threading.Thread(target=self._accept, args=(each, name), daemon=True).start()
        for each, name in ((datagram, "UDP"), (letters, "Unix datagram socket")):
            threading.Thread(target=self._receive, args=(each, name), daemon=True).start()

    def _accept(self, server: socket.socket, name: str) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.close()
                self.heard.append(name)

    def _receive(self, server: socket.socket, name: str) -> None:
        with contextlib.suppress(OSError):
            while server.recv(100):
                self.heard.append(name)

    def close(self) -> None:
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class SharedMemory:
    """What another program shares: a System V segment, and a file in /dev/shm. Nothing may be left there either."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._library.shmat.restype = ctypes.c_void_p
        self.segment: int = self._library.shmget(0, 4096, 0o1600)  # IPC_PRIVATE, IPC_CREAT
        self.file = Path(f"/dev/shm/gemma-attack-{os.getpid()}")
        self._before = self._names()
        self.file.write_text("keep me\n")

    def harm(self) -> list[str]:
        """What became of them; they are mended."""
        found: list[str] = []
        if not self.file.exists() or self.file.read_text() != "keep me\n":
            found.append("shared memory of another program was changed")
            self.file.write_text("keep me\n")
        for name in self._names() - self._before - {self.file.name}:
            found.append(f"/dev/shm/{name} is left")
            Path("/dev/shm", name).unlink(missing_ok=True)
        return found

    def close(self) -> None:
        self._library.shmctl(self.segment, 0, None)  # IPC_RMID
        self.file.unlink(missing_ok=True)

    def _names(self) -> set[str]:
        return {each.name for each in Path("/dev/shm").iterdir() if "left-by-attack" in each.name}


class Ground:
    """``command`` and ``tool`` run attacks as the agent would; ``harm`` says what they did, and mends it."""

    def __init__(self, base: Path, found: Found | None) -> None:
        """``found`` None: without any sandbox."""
        self.base = base.resolve()
        self.home = self.base / "home"
        self.workspace = self.home / "project"
        self.outside = self.base / "outside"
        self.marker = self.base / "marker"
        self._pristine = self.base.parent / f"{self.base.name}.pristine"
        self._build()
        self.listener = Listener(self.base / "sockets")
        self.listener.start()
        self.victim = subprocess.Popen(
            [sys.executable, "-c", f"import time; time.sleep({SLEEP}.5)"], env={"VICTIM_TOKEN": SECRET}
        )
        self.shared = SharedMemory()
        self.runner: CommandRunner = Unconfined()
        if found is not None:
            own = (self.home / ".config/gemma-agent", self.home / ".local/state/gemma-agent")
            limits = Limits(processes=200, memory=1_000_000_000)
            self.runner = Sandbox(found, self.workspace, User(self.home, own), limits=limits)
        self._tools = {tool.name: tool for tool in all_tools()}

    def __enter__(self) -> Ground:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.close()
        self.shared.close()
        self.victim.kill()
        self.victim.wait()
        if isinstance(self.runner, Sandbox):
            self.runner.close()
        shutil.rmtree(self._pristine)

    def command(self, command: str, *, network: bool = False, writes: bool = True, seconds: float = 20) -> str:
        """Run a command with the bash tool; its result, or the refusal."""
        arguments: dict[str, object] = {"command": command, "network": network, "timeout": seconds}
        return self.tool("bash", arguments, writes=writes)

    def tool(self, name: str, arguments: dict[str, object], *, writes: bool = True) -> str:
        """Call a tool; its result, or the refusal."""
        tool = self._tools[name]

        async def call() -> str:
            context = ToolContext(
                Workspace(self.workspace),
                MemoryRecorder(),
                lambda _: None,
                lambda: False,
                self._environment(),
                self.runner,
                writes,
            )
            try:
                return (await tool.run(tool.arguments.model_validate(arguments), context)).text
            except ToolError as error:
                return str(error)
            finally:
                if isinstance(tool, BashTool):
                    await tool.close()

        return asyncio.run(call())

    def _environment(self) -> dict[str, str]:
        agents = {
            **os.environ,
            "HOME": str(self.home),
            "OPENAI_API_KEY": SECRET,
            "GITHUB_TOKEN": SECRET,
            "DATABASE_URL": f"postgres://me:{SECRET}@db",
            "HTTPS_PROXY": f"http://me:{SECRET}@proxy:3128",
            "SSH_AUTH_SOCK": str(self.base / "sockets/service.sock"),
            "LD_PRELOAD": "",
        }
        names = {
            "WS": self.workspace,
            "OUT": self.outside,
            "BASE": self.base,
            "MARKER": self.marker,
            "PORT": self.listener.port,
            "SOCK": self.base / "sockets/service.sock",
            "LETTERS": self.base / "sockets/letters.sock",
            "SEGMENT": self.shared.segment,
            "SHARED": self.shared.file.name,
            "ABSTRACT": f"gemma-attack-{os.getpid()}",
            "VICTIM": self.victim.pid,
            "AGENT": os.getpid(),
            "PYTHON": sys.executable,
        }
        return {**command_environment(agents), **{name: str(value) for name, value in names.items()}}

    def harm(self, output: str, *, with_git: bool = True) -> list[str]:
        """What an attack achieved, in words; afterwards everything is as at first.

        ``with_git``: first git is used in every repository, as the user does all the time.
        """
        found = [f"the output shows {word}" for word in (SECRET, THROUGH) if word in output]
        if with_git:
            self._use_git_as_the_user_would()
        found += ["a program of the repository ran outside"] if self.marker.exists() else []
        found += [f"{path} was changed" for path in self._differences()]
        found += [f"{name} was reached" for name in self.listener.heard]
        if self.victim.poll() is not None:
            found.append("another process was ended")
            self.victim = subprocess.Popen(
                [sys.executable, "-c", f"import time; time.sleep({SLEEP}.5)"], env={"VICTIM_TOKEN": SECRET}
            )
        found += self.shared.harm()
        found += [f"process {pid} is left" for pid in self._left_over()]
        found += [f"{path} has a copy of a secret" for path in self._copies()]
        if found or with_git:  # what an attack leaves of a repository must not disarm the next one
            self._mend()
        self._tidy()
        self.listener.heard.clear()
        return found

    def _tidy(self) -> None:
        """Remove what an attack made in the workspace, where it may."""
        known = {path.name for path in (self._pristine / "home/project").iterdir()} | {".env.link"}
        for path in self.workspace.iterdir():
            if path.name not in known:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def _build(self) -> None:
        for folder in (self.workspace, self.outside, self.base / "sockets", self.home / ".config"):
            folder.mkdir(parents=True)
        for name in _SECRET_FILES:
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"token = {SECRET}\n")
        (self.home / ".bashrc").write_text("# mine\n")
        (self.home / ".gitconfig").write_text("[user]\n\tname = A\n\temail = a@example.org\n[safe]\n\tdirectory = *\n")
        for name in ("file.txt", "other/deep.txt"):
            path = self.outside / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("keep me\n")
        self._build_workspace()
        shutil.copytree(self.base, self._pristine, symlinks=True)
        for path in (self.workspace / ".env", self.outside / "file.txt"):
            os.link(path, path.with_name(path.name + ".link"))
            os.link(
                self._pristine / path.relative_to(self.base), self._pristine / f"{path.relative_to(self.base)}.link"
            )

    def _build_workspace(self) -> None:
        workspace = self.workspace
        files: dict[str, str] = {
            "main.py": "print('hello')\n",
            "README.md": "# Project\n",
            "src/a.py": "a = 1\n",
            ".gitignore": ".env\n*.key\ndeploy/\n*.link\n",
            "scripts/hook.sh": "#!/bin/sh\n",
            "team.gitconfig": "[alias]\n\tst = status\n",
        }
        for name, text in files.items():
            path = workspace / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self._git("init", "-q", "-b", "main")
        self._git("add", "-A")
        self._git("commit", "-q", "-m", "first")
        (workspace / "scripts/hook.sh").chmod(0o755)
        (workspace / ".git/hooks/post-index-change").symlink_to("../../scripts/hook.sh")
        self._git("config", "user.name", "A")
        self._git("config", "include.path", "../team.gitconfig")
        self._git("config", "extensions.worktreeConfig", "true")
        for name in _WORKSPACE_SECRETS:
            path = workspace / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"API_KEY={SECRET}\n")
        (workspace / "vendor").mkdir()
        self._git("init", "-q", "vendor/lib")

    def _git(self, *arguments: str) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *arguments], cwd=self.workspace, env=environment, check=False, capture_output=True)

    def _use_git_as_the_user_would(self) -> None:
        """What a shell's prompt, an editor and a person do all the time."""
        marked = {"PATH": os.environ["PATH"], "HOME": str(self.home), "MARKER": str(self.marker)}
        for folder in self._repositories():
            usual = (
                ["status", "--short"],
                ["diff"],
                ["log", "-1"],
                ["update-index", "--refresh", "--force-write-index"],
            )
            for arguments in (*usual, ["rebase", "--continue"]):
                if arguments[0] == "rebase" and not (folder / ".git/rebase-merge").exists():
                    continue
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                    subprocess.run(
                        ["git", *arguments], cwd=folder, env=marked, capture_output=True, timeout=10, check=False
                    )

    def _repositories(self) -> list[Path]:
        found = [self.workspace]
        for place, folders, files in os.walk(self.workspace):
            folders[:] = [name for name in folders if name != ".git"]
            inside = {*folders, *files}
            if Path(place) != self.workspace and (
                Path(place, ".git").exists() or {"HEAD", "objects", "refs"} <= inside
            ):
                found.append(Path(place))
        return found

    def _differences(self) -> list[str]:
        """Changes outside the workspace, and to what is protected in it."""
        before, after = _manifest(self._pristine), _manifest(self.base)
        changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        return sorted(name for name in changed if _matters(name))

    def _copies(self) -> Iterator[str]:
        for path in self.workspace.rglob("*"):
            relative = path.relative_to(self.workspace).as_posix()
            if relative in (*_WORKSPACE_SECRETS, ".env.link") or path.is_symlink() or not path.is_file():
                continue
            with contextlib.suppress(OSError):
                if path.stat().st_size < 1_000_000 and SECRET.encode() in path.read_bytes():
                    yield relative

    def _left_over(self) -> list[int]:
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and f"sleep\0{SLEEP}".encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, 9)
        return found

    def _mend(self) -> None:
        """Anew from the pristine copy; sockets stay."""
        self.marker.unlink(missing_ok=True)
        for name in ("home", "outside"):
            for place, folders, _files in os.walk(self.base / name):
                for folder in folders:
                    with contextlib.suppress(OSError):
                        Path(place, folder).chmod(0o755)
            shutil.rmtree(self.base / name, ignore_errors=True)
            shutil.copytree(self._pristine / name, self.base / name, symlinks=True, dirs_exist_ok=True)
        for path in (self.workspace / ".env", self.outside / "file.txt"):
            path.with_name(path.name + ".link").unlink(missing_ok=True)
            os.link(path, path.with_name(path.name + ".link"))


def _matters(name: str) -> bool:
    """In the workspace only what belongs to git's settings, and to the agent's."""
    inside = name.removeprefix("home/project/")
    if inside == name:
        return not name.startswith("sockets") and name not in ("", "home/project", "home")
    parts = inside.split("/")
    if parts[0] == ".agent" or inside in ("scripts/hook.sh", "team.gitconfig"):
        return True
    if parts[0] != ".git" and not inside.startswith("vendor/lib/.git"):
        return False
    protected = {"config", "config.worktree", "hooks"}
    if parts[1:2] != ["worktrees"]:  # where these belong to every linked worktree
        protected |= {"commondir", "gitdir"}
    return inside == ".git" or bool(protected & set(parts))


def _manifest(root: Path) -> dict[str, tuple[object, ...]]:
    """Every path below a folder with what must not change: kind, rights, owner, content; times of files outside."""
    found: dict[str, tuple[object, ...]] = {}
    for place, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(place, name)
            facts = path.lstat()
            content = b""
            if stat.S_ISREG(facts.st_mode):
                content = hashlib.sha256(path.read_bytes()).digest()
            elif stat.S_ISLNK(facts.st_mode):
                content = os.fsencode(path.readlink())
            attributes = tuple(os.listxattr(path, follow_symlinks=False)) if sys.platform == "linux" else ()
            relative = path.relative_to(root).as_posix()
            timed = stat.S_ISREG(facts.st_mode) and not relative.startswith("home/project/")
            modified = int(facts.st_mtime) if timed else 0
            found[relative] = (facts.st_mode, facts.st_uid, facts.st_gid, content, attributes, modified)
    return found
