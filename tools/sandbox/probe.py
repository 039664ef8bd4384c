"""Which means of confinement works on this machine, found out by using it; and what to do where none does.

It starts one short command for each means that it tries.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.launch import CommandLine, bundle, file_in_memory, interpreter, specification
from tools.sandbox.bubblewrap import arguments, find_bubblewrap
from tools.sandbox.confinement import confinement
from tools.sandbox.landlock import NEEDED_VERSION, landlock_version, ruleset
from tools.sandbox.policy import Policy, Tier
from tools.sandbox.seatbelt import SANDBOX_EXEC
from tools.sandbox.seccomp import UnknownProcessor, program
from tools.served import SCRIPTS

_SECONDS = 10.0
_PATH = "/usr/bin:/bin"
# A launcher without a server.
_ALONE = """
import marshal, os
os.set_inheritable({number}, False)
file = open({number}, "rb")
launcher, supervisor, server = {{}}, {{}}, {{}}
for space in (launcher, supervisor, server):
    exec(marshal.load(file), space)
os._exit(launcher["main"](marshal.load(file), supervisor["Supervisor"]))
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The best tier that works. ``shortfall`` says why a better one does not, ``remedy`` what would help."""

    tier: Tier
    shortfall: str = ""
    remedy: str = ""
    program: str = ""  # of bubblewrap
    user_namespaces_off: bool = True  # whether bubblewrap knows the flag for that

    def sentence(self) -> str:
        """What a user should know."""
        if self.tier is Tier.NONE:
            return f"Commands cannot be confined here: {self.shortfall}. To change that, {self.remedy}."
        return f"Commands are confined by {self.tier.value}."


def find_tier(only: Tier | None = None) -> Found:
    """Try the tiers, best first (or ``only`` that one)."""
    if sys.platform == "darwin":
        return _seatbelt()
    if sys.platform != "linux":
        return Found(Tier.NONE, f"there is no sandbox for {platform.system()}", "use Linux or macOS")
    try:
        program(internet=True)
    except UnknownProcessor as error:
        return Found(Tier.NONE, str(error), "use an x86-64, ARM64 or RISC-V machine")
    found = _bubblewrap() if only in (None, Tier.BUBBLEWRAP) else Found(Tier.NONE, "it was not asked for")
    if found.tier is not Tier.NONE or only is Tier.BUBBLEWRAP:
        return found
    version = landlock_version()
    if version >= NEEDED_VERSION:
        complaint = _try_landlock()
        if not complaint:
            return Found(Tier.LANDLOCK, found.shortfall, found.remedy)
        missing = f"Landlock does not work ({complaint})"
    else:
        missing = "this kernel has no Landlock" if not version else f"its Landlock (version {version}) is too old"
    return Found(Tier.NONE, f"{found.shortfall}, and {missing}", f"{found.remedy}, or use Linux 6.2 or newer")


def _bubblewrap() -> Found:
    path = find_bubblewrap()
    if path is None:
        return Found(Tier.NONE, "bubblewrap is not installed", _install())
    complaint = ""
    for flag in (True, False):  # --disable-userns came with bubblewrap 0.8
        complaint = _try(path, flag)
        if not complaint:
            return Found(Tier.BUBBLEWRAP, program=path, user_namespaces_off=flag)
        if "disable-userns" not in complaint:
            break
    return Found(Tier.NONE, f"bubblewrap does not work ({complaint})", _namespaces())


@contextmanager
def _trial() -> Generator[tuple[Policy, Path]]:
    """A policy for a command that writes in its workspace and beside it, and the folder that it must not change."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(os.path.realpath(name))
        workspace, temporary, outside = place / "workspace", place / "tmp", place / "outside"
        for folder in (workspace, temporary, outside):
            folder.mkdir(mode=0o755)
        yield Policy(workspace, workspace, temporary, (workspace,), hidden=(outside,)), outside


def _script(outside: Path) -> list[str]:
    return [
        "/bin/sh",
        "-c",
        f"chmod 777 {outside}; echo out > {outside}/escaped; echo >/dev/null; echo in > made; chmod 700 made",
    ]


def _judged(policy: Policy, outside: Path, done: subprocess.CompletedProcess[str]) -> str:
    """Why that did not go as it must, or nothing."""
    made = policy.workspace / "made"
    if done.returncode or not made.exists():
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return lines[-1].removeprefix("bwrap: ")
    escaped = list(outside.iterdir()) or outside.stat().st_mode & 0o777 != 0o755
    return "it lets commands write outside" if escaped else ""


def _try(path: str, user_namespaces_off: bool) -> str:
    """Confine a command by bubblewrap; why that did not go as it must, or nothing."""
    number = file_in_memory(program(internet=True))
    try:
        with _trial() as (policy, outside):
            made = arguments(policy, {"PATH": _PATH}, number, user_namespaces_off=user_namespaces_off)
            return _judged(policy, outside, _run([path, *made, "--", *_script(outside)], subprocess.DEVNULL, (number,)))
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        os.close(number)


def _try_landlock() -> str:
    """Confine a command by Landlock, seccomp and the supervisor; why that did not go as it must, or nothing."""
    ours, theirs = socket.socketpair()
    descriptors: list[int] = []
    try:
        with ours, theirs, _trial() as (policy, outside):
            line = CommandLine(_script(outside), policy.workspace, {"PATH": _PATH})
            descriptors.append(ruleset(policy))
            told = specification(line, {**confinement(policy), "ruleset": descriptors[0]})
            descriptors.append(file_in_memory(bundle(*SCRIPTS) + told))
            ours.sendall(b"go\n")
            command = [interpreter(), "-I", "-S", "-c", _ALONE.format(number=descriptors[1])]
            return _judged(policy, outside, _run(command, theirs.fileno(), tuple(descriptors)))
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        for each in descriptors:
            os.close(each)


def _run(command: Sequence[str], line: int, descriptors: tuple[int, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={},
        stdin=line,
        capture_output=True,
        text=True,
        pass_fds=descriptors,
        timeout=_SECONDS,
        check=False,
    )


def _install() -> str:
    managers = (
        ("/usr/bin/apt-get", "apt-get install bubblewrap"),
        ("/usr/bin/dnf", "dnf install bubblewrap"),
        ("/usr/bin/pacman", "pacman -S bubblewrap"),
        ("/sbin/apk", "apk add bubblewrap"),
        ("/usr/bin/zypper", "zypper install bubblewrap"),
    )
    command = next((command for path, command in managers if Path(path).exists()), None)
    return f"run: {command}" if command else "install bubblewrap"


def _namespaces() -> str:
    """Why an unprivileged user may make no namespaces here, as far as can be seen."""
    settings: tuple[tuple[str, Callable[[str], bool], str], ...] = (
        ("kernel.unprivileged_userns_clone", lambda value: value == "0", "kernel.unprivileged_userns_clone=1"),
        ("user.max_user_namespaces", lambda value: value == "0", "user.max_user_namespaces=15000"),
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            lambda value: value == "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    )
    for name, forbids, remedy in settings:
        try:
            value = Path("/proc/sys", *name.split(".")).read_text().strip()
        except OSError:
            continue
        if forbids(value):
            return f"run as root: sysctl -w {remedy}"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return "run the container with --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
    return "let user namespaces be made (see docs/security.md)"


def _seatbelt() -> Found:
    if os.access(SANDBOX_EXEC, os.X_OK):
        return Found(Tier.SEATBELT, "Seatbelt's profile was never run by us", "report what does not work")
    return Found(Tier.NONE, f"{SANDBOX_EXEC} is missing", "use a macOS that has it")
