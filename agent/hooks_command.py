"""The command ``agent hooks``: puts git's hooks in place and takes them away.

The hooks themselves are in ``agent.hooks``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agent.errors import UsageError
from agent.hooks import HookPlan, install, uninstall
from tools.git import find_root


def run_hooks(args: argparse.Namespace) -> int:
    """``agent hooks``; the exit code. Raises UsageError."""
    root = find_root(Path.cwd())
    if root is None:
        raise UsageError(f"{Path.cwd()} is not in a git repository; there are no hooks to be put in place.")
    if args.action == "install":
        said = install(root, HookPlan(args.hook, args.fail_on, args.max_seconds))
    else:
        said = uninstall(root, args.hook)
    print("\n".join(said))
    return 0
