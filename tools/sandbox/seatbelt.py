"""A policy as a Seatbelt profile, for macOS: the same rules in Apple's language. It has never run on a Mac of ours.

It starts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tools.sandbox.policy import Policy, inside_any

SANDBOX_EXEC = "/usr/bin/sandbox-exec"
_ALWAYS = """
(version 1)
(deny default)
(allow process-exec) (allow process-fork) (allow signal (target same-sandbox))
(allow sysctl-read) (allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))
(allow ipc-posix-sem) (allow ipc-posix-shm*) (allow pseudo-tty)
(allow file-read*)
(allow file-write-data (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty"))
(allow file-ioctl (literal "/dev/null") (literal "/dev/tty") (literal "/dev/ptmx"))
""".strip()


def profile(policy: Policy) -> str:
    """The profile; a later rule wins over an earlier one, so what is protected comes after what is writable."""
    lines = [_ALWAYS]
    lines += [_rule("allow", "file-write*", path) for path in (*policy.writable, policy.temporary)]
    lines += [_rule("deny", "file-write*", path) for path in policy.read_only]
    # Otherwise a folder that holds something protected could be moved away with it.
    above = dict.fromkeys(path.parent for path in policy.read_only if path.parent != policy.workspace)
    lines += [f"(deny file-write-unlink (literal {_quoted(path)}))" for path in above]
    hidden = (*policy.hidden, *(path for path, _ in policy.masks))
    lines += [_rule("deny", "file-read*", path) + "\n" + _rule("deny", "file-write*", path) for path in hidden]
    lines += [_rule("allow", "file-read*", path) for path in policy.visible if inside_any(path, hidden)]
    lines.append("(allow network*)" if policy.network else "(deny network*)")
    return "\n".join(lines) + "\n"


def command(policy: Policy, argv: Sequence[str]) -> list[str]:
    """The command below ``sandbox-exec``."""
    return [SANDBOX_EXEC, "-p", profile(policy), *argv]


def _rule(verb: str, operation: str, path: Path) -> str:
    return f"({verb} {operation} (subpath {_quoted(path)}))"


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
