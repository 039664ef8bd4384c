"""The flags of ``agent review`` and ``agent hooks``; imports nothing that a start would feel."""

from __future__ import annotations

import argparse

THRESHOLDS = ("critical", "high", "medium", "low", "never")
FORMATS = ("text", "json", "sarif", "github")
BASELINE = ".agent-review.json"
HOOKS = ("pre-commit", "pre-push", "prepare-commit-msg", "commit-msg")
_REVIEWING = HOOKS[:2]


def add_review_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``agent review``."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--base", metavar="REV", help="what the head has and REV has not")
    what.add_argument("--commit", metavar="REV", help="one commit")
    what.add_argument("--worktree", action="store_true", help="all that is not committed (default: what is staged)")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="only these files and folders")
    parser.add_argument("--format", choices=FORMATS, default="text", help="what goes to standard output")
    parser.add_argument("--fail-on", choices=THRESHOLDS, default="never", help="exit code 1 from this gravity on")
    parser.add_argument(
        "--min-confidence", type=_share, default=0.5, metavar="P", help="0 to 1, of the model's findings"
    )
    parser.add_argument("--max-findings", type=int, metavar="N", help="show no more than so many")
    parser.add_argument("--baseline", metavar="FILE", help=f"accepted findings (default: {BASELINE})")
    parser.add_argument("--update-baseline", action="store_true", help="accept what is found now")
    parser.add_argument("--no-model", action="store_true", help="only the checks that need no model")
    parser.add_argument("--hook", choices=_REVIEWING, help=argparse.SUPPRESS)


def add_hooks_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``agent hooks``."""
    actions = parser.add_subparsers(dest="action", metavar="install | uninstall", required=True)
    install = actions.add_parser("install", help="let git call us (default: pre-commit); a hook that is there is kept")
    install.add_argument("hook", nargs="*", choices=(*HOOKS, []), default=[], metavar="HOOK", help=", ".join(HOOKS))
    _add_limits(install)
    remove = actions.add_parser("uninstall", help="take hooks away (default: all); what was there before is put back")
    remove.add_argument("hook", nargs="*", choices=(*HOOKS, []), default=[], metavar="HOOK", help=", ".join(HOOKS))
    for name in ("message", "check-message"):  # what the hooks call
        own = actions.add_parser(name)
        own.add_argument("file")
        _add_limits(own)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fail-on", choices=THRESHOLDS, default="never", help="stop git from this gravity on")
    parser.add_argument("--max-seconds", type=float, default=30.0, metavar="S", help="then git goes on")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
