"""What is claimed of the records, as JSON lines with their bars.

It measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.claims import report
from bench.peers.measure import Record, decode_tps, median, prefill_tps, ratio, wall_tps

OURS = "ours"
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
        return against_best(records, workload, decode_tps, ">= 1")
    if workload.startswith("prefill"):
        return against_best(records, workload, prefill_tps, ">= 1")
    if workload == "rewrite":
        return against_best(records, workload, decode_tps, ">= 1.5")
    return against_best(records, workload, decode_tps, None)


def against_best(records: Sequence[Record], workload: str, of: Callable[[Record], float], bar: str | None) -> bool:
    """Ours over the server setting with the best median, and over every other system for the reader."""
    others = [made.system for made in records if made.workload == workload and made.system != OURS]
    ratios = {other: ratio(records, workload, (OURS, other), of) for other in dict.fromkeys(others)}
    measured = {other: value for other, value in ratios.items() if value is not None}
    servers = [other for other in measured if other.startswith(SERVERS)]
    if not servers:
        return True
    best = min(servers, key=lambda other: measured[other])
    for other, value in measured.items():
        if other != best:
            report(f"{workload}: ours over {other}", value, "ratio")
    return report(f"{workload}: ours over the best server setting ({best})", measured[best], "ratio", bar)
