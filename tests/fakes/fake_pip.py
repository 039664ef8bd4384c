"""Stands in for ``pip download``: copies the wheel of a requirement from the folder FAKE_WHEELS, without a network.

Run as a program. Real pip against a real index is tested too, in the slow tests.
"""

import os
import shutil
import sys
from pathlib import Path

wheels = Path(os.environ["FAKE_WHEELS"])
destination = Path(sys.argv[sys.argv.index("--dest") + 1])
project, _, version = sys.argv[-1].partition("==")
name = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
with (wheels / "asked").open("a") as log:
    log.write(name + "\n")
if not (wheels / name).exists():
    sys.exit(f"ERROR: No matching distribution found for {sys.argv[-1]}")
shutil.copy(wheels / name, destination)
