"""``agent engine``: which engine hosts run, what they hold, and their end.

It starts none: the programs that need one do.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from agent.clean import clean
from agent.engine_hosts import end_hosts, hosts
from agent.models.disk import size_text
from inference.host_files import HostFiles, running_pid
from inference.wire import HostStatus


def run_engine(args: argparse.Namespace) -> int:
    """``status`` or ``stop``; 1 when a host does not go."""
    if args.action == "stop":
        return _stop()
    found = hosts()
    if getattr(args, "json", False):
        for _, status in found:
            if status is not None:
                print(json.dumps(asdict(status)))
        return 0
    for files, status in found:
        print(clean(described(files, status, time.time())))
    if not found:
        print("No engine runs; the next program that needs one starts it.", file=sys.stderr)
    return 0


def described(files: HostFiles, status: HostStatus | None, now: float) -> str:
    """A host in one line; ``now`` in seconds of the Unix epoch."""
    if status is None:
        return f"process {running_pid(files)}: does not say how it is; another version may have started it"
    minutes = max(0, int(now - status.since)) // 60
    age = f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
    state = "" if status.loaded else ", loading"
    used = f"{status.clients} {'program' if status.clients == 1 else 'programs'}"
    return (
        f"{Path(status.model).name}: process {status.pid}{state}, {size_text(status.resident)} of memory, {used}, "
        f"for {age}, requests served: {status.served:,}, running: {status.running}"
    )


def _stop() -> int:
    gone, left = end_hosts(patience=60.0)
    for files in left:
        print(f"Process {running_pid(files)} does not go; end it with: kill {running_pid(files)}", file=sys.stderr)
    print(f"{len(gone)} {'engine' if len(gone) == 1 else 'engines'} stopped.", file=sys.stderr)
    return 1 if left else 0
