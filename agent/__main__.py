"""The console scripts' entry: runs the command line and ends with its exit code; nothing else."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run ``agent``; does not return."""
    sys.path[:] = [each for each in sys.path if not _is_the_repositorys(each)]
    try:
        from agent.cli import main as run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # before the command line itself could listen
        sys.exit(130)


def _is_the_repositorys(entry: str) -> bool:
    """Whether modules would be imported from the folder we are started in: its files must not run as ours.

    ``python -m`` and a relative PYTHONPATH put it there. Where this program itself lies in it, it stays.
    """
    here, place = os.path.realpath(os.getcwd()), os.path.realpath(entry)  # noqa: PTH109 - pathlib costs its import
    if place != here and not place.startswith(f"{here}/"):
        return False
    own = (os.path.dirname(os.path.dirname(os.path.realpath(__file__))), os.path.realpath(sys.prefix))  # noqa: PTH120
    return not (place == own[0] or place.startswith(f"{own[1]}/"))


if __name__ == "__main__":
    main()
