"""The console scripts' entry: runs the command line and ends with its exit code; nothing else."""

from __future__ import annotations

import sys

from agent.cli import main as run


def main() -> None:
    """Run ``agent``; does not return."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
