"""What came of a repair, in a few lines for a person; pure."""

from __future__ import annotations

from agent.diffs import file_changed
from agent.fix import FixOutcome


def summarise(outcome: FixOutcome, *, dry_run: bool) -> str:
    """What a person wants to know in the end, in a few lines."""
    usage, tries = outcome.usage, f"{outcome.attempts} attempt{'' if outcome.attempts == 1 else 's'}"
    if outcome.green and not outcome.attempts:
        return f"`{outcome.first.command}` passes already ({outcome.first.summary}); there is nothing to fix."
    changed = [file_changed(change) for change in outcome.changes]
    files = ", ".join(f"{each.path} (+{each.added} -{each.removed})" for each in changed)
    if outcome.green:
        head = f"Fixed: {outcome.best.summary}; before: {outcome.first.summary}."
        where = f"Changed: {files}." if not dry_run else f"A dry run: {files} would change; the files are as they were."
    elif outcome.applied:
        head = f"Not fixed: {outcome.best.summary}; before: {outcome.first.summary}."
        where = f"The best attempt is in place: {files}. `agent undo` takes it back."
    else:
        head = f"Not fixed: {outcome.first.summary}, and no attempt made it better."
        where = "The files are as they were."
    speed = f"{usage.decoded_tokens:,} tokens written at {usage.decode_tps:.0f}/s"
    read = f"{usage.prefilled_tokens:,} read, {usage.cached_tokens:,} from the cache"
    return f"{head}\n{where}\n{tries} in {outcome.seconds:.0f} s: {speed}, {read}."
