"""The command ``agent review``: arguments to a ReviewJob, findings to standard output, their gravity to an exit code.

How a review goes is in ``agent.review.job``; how git comes to call it, in ``agent.hooks``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.text import Text

from agent.assembly import WANTED_CONTEXT, Talk, open_model
from agent.clean import clean
from agent.errors import ModelError, UsageError
from agent.model import Model
from agent.models.fetch import ModelOptions, is_here, require_known
from agent.review.accepted import Baseline, read_baseline, write_baseline
from agent.review.cache import JudgementCache
from agent.review.findings import Finding, Priority
from agent.review.formats import Report, as_github, as_json, as_sarif, as_text, listed
from agent.review.job import OpenedScorer, Progress, ReviewJob, ReviewOptions
from agent.review_flags import BASELINE, THRESHOLDS
from agent.setup import Setup, read_setup
from tools.git import GitError, find_root
from tools.git_changes import ChangedFile, Changes, Range

_HOOK_SECONDS = 30.0


@dataclass(slots=True)
class _Opened:
    model: Model | None = None


def run_review(args: argparse.Namespace) -> int:
    """``agent review``; 0 nothing grave, 1 findings at or above ``--fail-on``. Raises AgentError."""
    return asyncio.run(_review(args))


async def _review(args: argparse.Namespace) -> int:
    setup = read_setup(args)
    root = find_root(setup.cwd)
    if root is None:
        raise UsageError(f"{setup.cwd} is not in a git repository; there is nothing to review.")
    if not args.no_model:
        require_known(setup.config.model, ModelOptions())
    baseline_path = Path(args.baseline) if args.baseline else root / BASELINE
    baseline = Baseline() if args.update_baseline else read_baseline(baseline_path)
    files = _changed_files(args, setup, root)
    findings, notes, count = await _found(args, setup, files, baseline)
    if args.update_baseline:
        write_baseline(baseline_path, findings)
        print(f"{len(findings)} findings accepted in {baseline_path}.", file=sys.stderr)
        return 0
    shown, left_out = listed(findings, args.max_findings)
    report = Report(root, shown, count, (*notes, *left_out))
    _write(report, args.format)
    return 1 if _grave(findings, args.fail_on) else 0


def _changed_files(args: argparse.Namespace, setup: Setup, root: Path) -> list[ChangedFile]:
    """What is to be reviewed; raises UsageError for a revision or a path that is not there."""
    changes = Changes(root)
    try:
        wanted = Range()
        if args.base:
            wanted = changes.base_range(args.base)
        elif args.commit:
            wanted = changes.commit_range(args.commit)
        elif args.worktree:
            wanted = Range(new="worktree")
        return changes.read(wanted, [_inside(root, setup.cwd / path) for path in args.paths])
    except GitError as error:
        raise UsageError(f"The change cannot be read: {error}.") from error


def _inside(root: Path, path: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError as error:
        raise UsageError(f"{path} is not in the repository {root}.") from error


async def _found(
    args: argparse.Namespace, setup: Setup, files: list[ChangedFile], baseline: Baseline
) -> tuple[list[Finding], list[str], int]:
    opened = _Opened()
    seconds = setup.config.max_seconds or (_HOOK_SECONDS if args.hook else None)
    options = ReviewOptions(args.min_confidence, seconds, model=not args.no_model)
    console = Console(stderr=True, highlight=False)
    with console.status("") as status:

        def progress(step: Progress) -> None:
            left = "" if step.seconds_left is None else f", about {step.seconds_left:.0f} s left"
            status.update(f"judging change {min(step.done + 1, step.total)} of {step.total}{left}")

        async def open_scorer() -> OpenedScorer:
            wanted = ModelOptions(wanted_context=setup.config.context or WANTED_CONTEXT)
            # A review fetches nothing: whoever commits does not want to wait for a download.
            if not is_here(setup.config.model, wanted):
                raise ModelError("no model is on this machine; fetch one with: agent models pull.")
            status.update("loading the model")
            opened.model = await open_model(setup, Talk(say=lambda text: console.print(Text(clean(text)))))
            cache = JudgementCache(setup.state / "review.db", opened.model.info.name)
            return OpenedScorer(opened.model, cache)

        try:
            return await ReviewJob(options, open_scorer, progress).run(files, baseline)
        finally:
            if opened.model is not None:
                await opened.model.close()


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


def _grave(findings: list[Finding], threshold: str) -> bool:
    if threshold == "never":
        return False
    worst = Priority(THRESHOLDS.index(threshold))
    return any(finding.priority <= worst for finding in findings)
