"""The console scripts' entry: runs the command line and ends with its exit code; nothing else."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``agent``; does not return."""
    try:
        from agent.cli import main as run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # before the command line itself could listen
        sys.exit(130)


if __name__ == "__main__":
    main()
