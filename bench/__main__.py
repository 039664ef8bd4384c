"""``python -m bench``: every measurement in turn; each prints its claims as JSON lines. It measures nothing itself."""

from __future__ import annotations

import subprocess
import sys
import time

# The quick ones first; the last one takes up to an hour on two cores.
SCRIPTS = (
    "bench.constraint",
    "bench.decode_overhead",
    "bench.barriers",
    "bench.prefix_reuse",
    "bench.fix",
    "bench.slips",
)


def main() -> int:
    """Run all; exit code 1 when a claim of one does not hold."""
    failed: list[str] = []
    for number, script in enumerate(SCRIPTS, start=1):
        began = time.monotonic()
        print(f"==> {number}/{len(SCRIPTS)}: {script}", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, "-m", script], check=False).returncode:
            failed.append(script)
        print(f"    {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if failed:
        print(f"Claims do not hold in: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
