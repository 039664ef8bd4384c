"""A policy as bubblewrap's arguments, with the small shell script that runs first inside the sandbox.

It starts nothing. The order of the arguments matters: later mounts lie on top of earlier ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.sandbox.policy import Policy, inside_any, is_within

# The usual places only: one found on PATH could come from the repository.
_PROGRAMS = ("/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap", "/run/current-system/sw/bin/bwrap")
_REPLACED = (Path("/tmp"), Path("/var/tmp"), Path("/run"), Path("/dev"), Path("/proc"))  # noqa: S108 - they are names
_BASE = (
    "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv",
    "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run",
)  # fmt: skip
_SCRIPT_PLACE = "/run/start"
# Standard input is a socket to the agent. The script says that it has come up, and runs the command only once the
# agent has answered: by then the kernel kills all this when the agent dies, and when it died before, the read fails.
# A core dump is written by nobody, and memory that runs out hits this first. The braces have all of it read before the
# command runs, which could write there.
_SCRIPT = """{{
echo . >&0; read -r go || exit 125; exec </dev/null
{{ ulimit -c 0; ulimit -u {processes} || ulimit -p {processes}; echo 1000 >/proc/self/oom_score_adj; }} 2>/dev/null
{command}; code=$?
set -- /proc/[0-9]*
[ $# -le 2 ] || printf '\\n(%s background process(es) were stopped with the command)\\n' $(($# - 2)) >&2
exit $code
}}
"""
FIRST_PROGRAM = ("/bin/sh", _SCRIPT_PLACE)
"""What runs inside: the script."""


def find_bubblewrap() -> str | None:
    """The path of ``bwrap``; None when it is not installed."""
    return next((path for path in _PROGRAMS if os.access(path, os.X_OK)), None)


def arguments(policy: Policy, environment: Mapping[str, str], seccomp: int, *, user_namespaces_off: bool) -> list[str]:
    """The options of ``bwrap``; ``seccomp`` is a descriptor with the filter.

    ``user_namespaces_off`` uses a flag that bubblewrap has since 0.8.
    """
    made = list(_BASE)
    # To the kernel root is root, also in a user namespace and without capabilities: it may write /proc/sys.
    made += ["--remount-ro", "/proc"] if os.geteuid() == 0 else []
    made += ["--disable-userns"] if user_namespaces_off else []
    made += ["--share-net"] if policy.network else []
    made += ["--seccomp", str(seccomp)]
    made += [word for name, value in environment.items() for word in ("--setenv", name, value)]
    made += ["--bind", str(policy.temporary), "/tmp", "--bind", str(policy.temporary), "/var/tmp"]  # noqa: S108
    made += _resolver() if policy.network else []
    over, under = _hidden(policy)
    made += under
    replaced = (*_REPLACED, *policy.hidden)
    for path in policy.visible:
        if inside_any(path, replaced) and not inside_any(path, policy.writable):
            made += ["--ro-bind", str(path), str(path)]
    if not inside_any(policy.workspace, policy.writable):
        made += ["--ro-bind", str(policy.workspace), str(policy.workspace)]
    for path in sorted(policy.writable):
        made += ["--bind", str(path), str(path)]
    for path in policy.read_only:
        made += ["--ro-bind", str(path), str(path)]
    for path, mask in policy.masks:
        made += ["--ro-bind", str(mask), str(path)]
    return [*made, *over, "--chdir", str(policy.folder)]


def script(policy: Policy, command: Sequence[str]) -> str:
    """The script for a command."""
    words = ("'" + word.replace("'", "'\"'\"'") + "'" for word in command)  # all of them: one could be a reserved word
    return _SCRIPT.format(processes=policy.limits.processes, command=" ".join(words))


def script_argument(descriptor: int) -> list[str]:
    """The option that puts the script into the sandbox; the last one, for without it nothing can run."""
    return ["--file", str(descriptor), _SCRIPT_PLACE]


def _hidden(policy: Policy) -> tuple[list[str], list[str]]:
    """Arguments that hide places: (over the workspace, under it) - a workspace, or Python, may lie in one."""
    over: list[str] = []
    under: list[str] = []
    for path in policy.hidden:
        hide = ["--tmpfs", str(path)] if path.is_dir() else ["--ro-bind", os.devnull, str(path)]
        holds = any(is_within(str(each), str(path)) for each in (policy.workspace, *policy.visible))
        (under if holds else over).extend(hide)
    return over, under


def _resolver() -> list[str]:
    """The name servers' file, where it is a link into /run."""
    real = os.path.realpath("/etc/resolv.conf")
    return ["--ro-bind", real, real] if real.startswith("/run/") and Path(real).exists() else []
