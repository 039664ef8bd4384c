"""What the installed llama.cpp build can do, asked in a child process.

A child, because a build for another processor dies of an illegal instruction: that must be an answer, not our end.
It loads no model.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, cast

PROBE_SECONDS = 60.0
REBUILD = "pip install --force-reinstall --no-binary llama-cpp-python llama-cpp-python"

_PROBE = """
import json, llama_cpp
from llama_cpp import llama_cpp as lib
print(json.dumps({
    "version": llama_cpp.__version__,
    "gpu": bool(lib.llama_supports_gpu_offload()),
    "mmap": bool(lib.llama_supports_mmap()),
    "features": lib.llama_print_system_info().decode("utf-8", "replace").strip(),
}))
"""


@dataclass(frozen=True, slots=True)
class Build:
    """``gpu``: a GPU backend is compiled in. ``features``: llama.cpp's own line. ``failure`` is empty when it loads."""

    version: str = ""
    gpu: bool = False
    features: str = ""
    failure: str = ""


def probe_build() -> Build:
    """The llama.cpp build of this interpreter; never raises: ``failure`` says in a sentence what is wrong."""
    command = [sys.executable, "-P", "-c", _PROBE]  # -P: no modules from the folder that we are in
    try:
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return Build(failure=f"llama.cpp could not be asked ({error}).")
    if done.returncode < 0:
        return Build(
            failure=f"llama.cpp dies with signal {-done.returncode} here: it was built for another processor; "
            f"build it here: {REBUILD}."
        )
    try:
        found = cast("dict[str, Any]", json.loads(done.stdout.strip().splitlines()[-1]))
        return Build(str(found["version"]), bool(found["gpu"]), str(found["features"]))
    except (ValueError, KeyError, IndexError):
        last = next(iter(reversed(done.stderr.strip().splitlines())), "it said nothing")
        return Build(
            failure=f"llama.cpp does not load ({last}); reinstall it: pip install --force-reinstall gemma-agent."
        )
