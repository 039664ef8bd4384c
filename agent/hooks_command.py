"""The command ``agent hooks``: puts git's hooks in place, takes them away, and does what those for messages are for.

The hooks' scripts are in ``agent.hooks``; the reviewing ones call ``agent review``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from agent.clean import clean
from agent.errors import UsageError
from agent.hooks import STOP, HookPlan, install, uninstall
from agent.review_flags import HOOKS
from agent.setup import read_setup
from tools.git import HOOK_VARIABLES, find_root


def run_hooks(args: argparse.Namespace) -> int:
    """``agent hooks``; the exit code. Raises UsageError."""
    if args.action in ("message", "check-message"):
        return _message(args)
    root = find_root(Path.cwd())
    if root is None:
        raise UsageError(f"{Path.cwd()} is not in a git repository; there are no hooks to be put in place.")
    said: list[str] = []
    if args.action == "install":
        for name in args.hook or HOOKS[:1]:
            said += install(root, HookPlan(name, args.fail_on, args.max_seconds))
    else:
        for name in args.hook or HOOKS:
            said += uninstall(root, name, quiet=not args.hook)
    print("\n".join(said) or f"There is no hook of ours in {root}.")
    return 0


def _message(args: argparse.Namespace) -> int:
    """What git's hooks for messages call."""
    from agent.review.findings import grave
    from agent.review.message import check_message

    path = Path(args.file)
    if args.action == "message":
        note = asyncio.run(_propose(path, args.max_seconds))
        if note:
            _say(note)
        return 0
    findings = check_message(path)
    for finding in findings:
        _say(f"line {finding.start} of the message: {finding.headline}. {finding.body}")
    return STOP if grave(findings, args.fail_on) else 0


async def _propose(path: Path, seconds: float) -> str | None:
    from agent.review.message import Desk, propose_message
    from agent.review.opening import open_reviewer

    setup = read_setup(argparse.Namespace())
    given = {name: os.environ[name] for name in HOOK_VARIABLES if name in os.environ}
    return await propose_message(path, Desk(Path.cwd(), given, lambda: open_reviewer(setup, lambda _: None), seconds))


def _say(sentence: str) -> None:
    print(clean(f"agent: {sentence}"), file=sys.stderr)
