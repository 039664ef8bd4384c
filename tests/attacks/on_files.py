"""Attacks by the file tools."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable

from tests.attacks.attack import Attack
from tests.attacks.ground import SECRET, Ground


def _write(path: str) -> Callable[[Ground], str]:
    return lambda ground: ground.tool("write", {"path": _filled(ground, path), "content": "x\n"})


def _read(path: str) -> Callable[[Ground], str]:
    return lambda ground: ground.tool("read", {"path": _filled(ground, path)})


def _filled(ground: Ground, path: str) -> str:
    return path.replace("$OUT", str(ground.outside)).replace("$HOME", str(ground.home))


def _edit_link(ground: Ground) -> str:
    """Edit a file of the workspace that is a hard link to one outside."""
    link = ground.workspace / "note.txt"
    link.hardlink_to(ground.outside / "other/deep.txt")
    ground.tool("read", {"path": "note.txt"})
    said = ground.tool("edit", {"path": "note.txt", "replacements": [{"find": "keep me", "replace": "x"}]})
    link.unlink()
    return said


def _through_link(name: str, arguments: dict[str, object]) -> Callable[[Ground], str]:
    def act(ground: Ground) -> str:
        (ground.workspace / "way").symlink_to(ground.outside)
        (ground.workspace / "keys").symlink_to(ground.home / ".ssh")
        said = ground.tool(name, arguments)
        for link in ("way", "keys"):
            (ground.workspace / link).unlink()
        return said

    return act


def _while_swapping(ground: Ground, act: Callable[[int], str]) -> str:
    """``act`` a hundred times while the folder ``d`` of the workspace is by turns itself and a link to outside."""
    folder, link, aside = ground.workspace / "d", ground.workspace / "d.link", ground.workspace / "d.aside"
    folder.mkdir()
    link.symlink_to(ground.outside)
    over = threading.Event()

    def swap() -> None:
        steps = ((folder, aside), (link, folder), (folder, link), (aside, folder))
        for old, new in itertools.cycle(steps):
            if over.is_set():
                return
            with contextlib.suppress(OSError):  # a tool may have made a folder in between
                old.rename(new)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        return "".join(act(number) for number in range(100))
    finally:
        over.set()
        swapping.join()
        for path in (folder, link):
            if path.is_symlink():
                path.unlink()


def _write_while_swapping(ground: Ground) -> str:
    return _while_swapping(ground, lambda n: ground.tool("write", {"path": f"d/new{n}.txt", "content": "x\n"}))


def _read_while_swapping(ground: Ground) -> str:
    (ground.outside / "secret.txt").write_text(f"{SECRET}\n")
    try:
        return _while_swapping(ground, lambda _: ground.tool("read", {"path": "d/secret.txt"}))
    finally:
        (ground.outside / "secret.txt").unlink()


def _special(name: str, arguments: dict[str, object]) -> Callable[[Ground], str]:
    """A tool on something that would never end when it is read."""

    def act(ground: Ground) -> str:
        os.mkfifo(ground.workspace / "pipe.py")
        (ground.workspace / "zero.py").symlink_to("/dev/zero")
        return ground.tool(name, arguments)

    return act


FILES = [
    Attack("write: into a folder that is exchanged meanwhile", "file tool", act=_write_while_swapping),
    Attack("read: from a folder that is exchanged meanwhile", "file tool", act=_read_while_swapping),
    Attack("read: a FIFO", "file tool", act=_special("read", {"path": "pipe.py"})),
    Attack("read: an endless device by a link", "file tool", act=_special("read", {"path": "zero.py"})),
    Attack("grep: a FIFO and an endless device", "file tool", act=_special("grep", {"pattern": "x"})),
    Attack("grep: only a FIFO", "file tool", act=_special("grep", {"pattern": "x", "path": "pipe.py"})),
    Attack("symbols: a FIFO and an endless device", "file tool", act=_special("symbols", {"path": "."})),
    Attack("edit: a FIFO", "file tool", act=_special("edit", {"path": "pipe.py", "find": "a", "replace": "b"})),
    Attack("write: an absolute path", "file tool", act=_write("$OUT/new.txt")),
    Attack("write: dots", "file tool", act=_write("../../outside/new.txt")),
    Attack("write: through /proc", "file tool", act=_write("/proc/self/root$OUT/new.txt")),
    Attack("write: through /proc/self/cwd", "file tool", act=_write("/proc/self/cwd/../outside/new.txt")),
    Attack("write: through a link", "file tool", act=_through_link("write", {"path": "way/new.txt", "content": "x"})),
    Attack("write: a hook", "file tool", act=_write(".git/hooks/pre-commit")),
    Attack("write: a hook in capitals", "file tool", act=_write(".GIT/hooks/pre-commit")),
    Attack("write: a hook with an invisible character", "file tool", act=_write(".g\u200cit/hooks/pre-commit")),
    Attack("write: a hook in wide letters", "file tool", act=_write(".\uff47\uff49\uff54/hooks/pre-commit")),
    Attack("write: a hook with a trailing dot", "file tool", act=_write(".git./hooks/pre-commit")),
    Attack("write: a nested repository's settings", "file tool", act=_write("sub/.git/config")),
    Attack("write: our settings", "file tool", act=_write(".agent/config.toml")),
    Attack("write: a path with a NUL", "file tool", act=_write("a\0/../../outside/x")),
    Attack("edit: a hard link to outside", "file tool", act=_edit_link),
    Attack("read: an absolute path", "file tool", act=_read("$HOME/.ssh/id_ed25519")),
    Attack("read: a link to keys", "file tool", act=_through_link("read", {"path": "keys/id_ed25519"})),
    Attack("read: the .env", "file tool", act=_read(".env")),
    Attack("read: the .env in capitals", "file tool", act=_read(".ENV")),
    Attack("read: the .env by a detour", "file tool", act=_read("src/../.env")),
    Attack("read: the agent's environment", "file tool", act=_read("/proc/self/environ")),
    Attack(
        "grep: secrets of the workspace", "file tool", act=lambda ground: ground.tool("grep", {"pattern": "API_KEY"})
    ),
    Attack(
        "grep: one named file", "file tool", act=lambda ground: ground.tool("grep", {"pattern": "API", "path": ".env"})
    ),
    Attack("grep: through a link", "file tool", act=_through_link("grep", {"pattern": "token", "path": "keys"})),
]
