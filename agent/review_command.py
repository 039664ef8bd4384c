"""The command ``agent review``: arguments to a ReviewJob, findings to standard output, their gravity to an exit code.

How a review goes is in ``agent.review.job``; how git comes to call it, in ``agent.hooks``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from agent.clean import clean
from agent.errors import UsageError
from agent.hooks import STOP
from agent.model import Model
from agent.review.accepted import Baseline, read_baseline, write_baseline
from agent.review.cache import JudgementCache
from agent.review.changes import Change, Wanted, changed_files
from agent.review.findings import grave
from agent.review.formats import Report, as_github, as_json, as_sarif, as_text, listed
from agent.review.job import OpenedReviewer, Progress, Reviewed, ReviewJob, ReviewOptions
from agent.review.judge import MEASURE
from agent.review.opening import open_reviewer, require_reviewer
from agent.review.question import confirmer
from agent.review.rules import review_rules
from agent.review.wording import explainer
from agent.review_flags import BASELINE
from agent.setup import Setup, read_setup
from tools.git import HOOK_VARIABLES, find_root

_HOOK_SECONDS = 30.0
_GRACE_SECONDS = 5.0


@dataclass(slots=True)
class _Opened:
    model: Model | None = None


def run_review(args: argparse.Namespace) -> int:
    """``agent review``; 0 nothing grave, 1 findings at or above ``--fail-on``. Raises AgentError."""
    if args.hook:
        _stay_out_of_the_way(getattr(args, "max_seconds", None) or _HOOK_SECONDS)
    return _review(args)


def _stay_out_of_the_way(seconds: float) -> None:
    """Whatever hangs (a model that is being loaded cannot be interrupted): git goes on soon after the limit."""

    def leave() -> None:
        print("agent review: the time limit was reached, and nothing more was reviewed.", file=sys.stderr, flush=True)
        os._exit(0)

    timer = threading.Timer(seconds + _GRACE_SECONDS, leave)
    timer.daemon = True
    timer.start()


def _review(args: argparse.Namespace) -> int:
    setup = read_setup(args)
    given = {name: os.environ[name] for name in HOOK_VARIABLES if args.hook and name in os.environ}
    root = find_root(setup.cwd, given)
    if root is None:
        raise UsageError(f"{setup.cwd} is not in a git repository; there is nothing to review.")
    if not args.no_model:
        require_reviewer(setup)
    baseline_path = Path(args.baseline) if args.baseline else root / BASELINE
    baseline = Baseline() if args.update_baseline else read_baseline(baseline_path)
    pushed = sys.stdin.read() if args.hook == "pre-push" else ""
    change = changed_files(root, Wanted(args, setup.cwd, given, pushed))
    reviewed = asyncio.run(_reviewed(args, setup, change, baseline))
    if args.update_baseline:
        write_baseline(baseline_path, reviewed.findings)
        print(f"{len(reviewed.findings)} findings accepted in {baseline_path}.", file=sys.stderr)
        return 0
    shown, left_out = listed(reviewed.findings, args.max_findings)
    _write(Report(root, shown, reviewed.files, (*reviewed.notes, *left_out)), args.format)
    if not grave(reviewed.findings, args.fail_on):
        return 0
    return STOP if args.hook else 1


async def _reviewed(args: argparse.Namespace, setup: Setup, change: Change, baseline: Baseline) -> Reviewed:
    opened = _Opened()
    seconds = setup.config.max_seconds or (_HOOK_SECONDS if args.hook else None)
    options = ReviewOptions(args.min_confidence, seconds, model=not args.no_model)
    console = Console(stderr=True, highlight=False)
    with console.status("") as status:

        def say(text: str) -> None:
            console.print(Text(clean(text)))

        def progress(step: Progress) -> None:
            left = "" if step.seconds_left is None else f", about {step.seconds_left:.0f} s left"
            suspected = f"; {step.surest.path}:{step.surest.start} looks like a mistake" if step.surest else ""
            text = f"judging change {min(step.done + 1, step.total)} of {step.total}{left}{suspected}"
            status.update(escape(clean(text)))

        async def opened_reviewer() -> OpenedReviewer:
            status.update("loading the model")
            opened.model = await open_reviewer(setup, _silent if args.hook else say)
            cache = JudgementCache(setup.state / "review.db", f"{opened.model.info.name} {MEASURE}")
            if opened.model.info.small:
                return OpenedReviewer(opened.model, cache)
            return OpenedReviewer(
                opened.model, cache, confirmer(opened.model), explainer(opened.model, review_rules(setup))
            )

        try:
            return await ReviewJob(options, opened_reviewer, progress).run(change, baseline)
        finally:
            if opened.model is not None:
                await opened.model.close()


def _silent(_: str) -> None:
    """Whoever commits need not be told every time which model was chosen."""


def _write(report: Report, form: str) -> None:
    match form:
        case "json":
            print(as_json(report))
        case "sarif":
            print(as_sarif(report, _version()))
        case "github":
            print(as_github(report))
        case _:
            print(as_text(report))


def _version() -> str:
    try:
        return version("gemma-agent")
    except PackageNotFoundError:
        return "0"
