"""What is claimed of the records, as JSON lines with their bars.

It measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.claims import report
from bench.peers.measure import Record, decode_tps, median, prefill_tps, ratio, wall_tps

OURS, OURS_PLAIN = "ours", "ours, plain"
SERVERS = ("llama-server", "xllamacpp")


def report_all(records: Sequence[Record]) -> bool:
    """Print medians, then the claims that the records allow; whether all bars hold."""
    report_medians(records)
    workloads = dict.fromkeys(made.workload for made in records)
    holds = [report_workload(records, workload) for workload in workloads]
    return all(holds)


def report_medians(records: Sequence[Record]) -> None:
    """Tokens a second of every system on every workload."""
    for workload, system in dict.fromkeys((made.workload, made.system) for made in records):
        measures: dict[str, Callable[[Record], float]] = (
            {"read": prefill_tps}
            if workload.startswith("prefill")
            else {"decoded": decode_tps, "from question to last token": wall_tps}
        )
        for name, of in measures.items():
            value = median(records, workload, system, of)
            if value is not None:
                report(f"{workload}, {system}: {name}", value, "tokens/s")


def report_workload(records: Sequence[Record], workload: str) -> bool:
    """The claims of one workload."""
    if workload == "plain":
        return against_best(records, workload, OURS_PLAIN, decode_tps, ">= 1")
    if workload.startswith("prefill"):
        return against_best(records, workload, OURS_PLAIN, prefill_tps, ">= 1")
    if workload.startswith("constructed"):
        return at_equal_settings(records, workload)
    if workload.startswith("dropped thoughts"):
        return against_best(records, workload, OURS, next_first_token, ">= 6.6667")
    if workload == "rewrite":
        return against_best(records, workload, OURS, decode_tps, ">= 1.5")
    of_ours = [ratio(records, workload, (OURS, OURS_PLAIN), decode_tps)]
    holds = [report(f"{workload}: ours over ours, plain", value, "ratio", ">= 0.97") for value in of_ours if value]
    return against_best(records, workload, OURS, decode_tps, None) and all(holds)


def next_first_token(made: Record) -> float:
    """First tokens a second behind the last question, so that more is better as everywhere."""
    return 1000 / made.first_ms[-1]


def at_equal_settings(records: Sequence[Record], workload: str) -> bool:
    """The same length of draft on both sides, and none."""
    systems = {made.system for made in records if made.workload == workload}
    holds: list[bool] = []
    for mine in sorted(system for system in systems if system.startswith("ours, ")):
        length = mine.removeprefix("ours, draft ")
        suffix = "" if mine == OURS_PLAIN else f", mtp {length}"
        for theirs in (f"{server}{suffix}" for server in SERVERS):
            value = ratio(records, workload, (mine, theirs), decode_tps)
            if value is not None:
                holds.append(report(f"{workload}: {mine} over {theirs}", value, "ratio", ">= 1"))
    return all(holds)


def against_best(
    records: Sequence[Record], workload: str, mine: str, of: Callable[[Record], float], bar: str | None
) -> bool:
    """Ours over the server setting that does best, and over every other system for the reader."""
    others = [made.system for made in records if made.workload == workload and made.system != mine]
    ratios = {other: ratio(records, workload, (mine, other), of) for other in dict.fromkeys(others)}
    measured = {other: value for other, value in ratios.items() if value is not None}
    servers = [other for other in measured if other.startswith(SERVERS)]
    if not servers:
        return True
    best = min(servers, key=lambda other: measured[other])
    for other, value in measured.items():
        if other != best:
            report(f"{workload}: {mine} over {other}", value, "ratio")
    return report(f"{workload}: {mine} over the best server setting ({best})", measured[best], "ratio", bar)
