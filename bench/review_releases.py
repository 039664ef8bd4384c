"""Real changes of real code: what well-known Python packages changed from one release to the next.

Nearly all of it was reviewed and kept, so a finding in it is counted as a false alarm. The releases are of 2025, later
than the models' training. They are downloaded as wheels and only read, never installed. It measures nothing.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from bench.review_cases import Case

PAIRS = (
    ("click", "8.2.0", "8.2.1"),
    ("flask", "3.1.0", "3.1.1"),
    ("werkzeug", "3.1.2", "3.1.3"),
    ("requests", "2.32.3", "2.32.4"),
    ("attrs", "25.1.0", "25.2.0"),
    ("pluggy", "1.5.0", "1.6.0"),
    ("packaging", "24.2", "25.0"),
    ("httpx", "0.27.2", "0.28.1"),
    ("starlette", "0.45.3", "0.46.0"),
    ("rich", "13.9.4", "14.0.0"),
)


def release_cases(folder: Path) -> list[Case]:
    """One case for each file of a package that both releases have and that differs; wheels are kept in ``folder``."""
    cases: list[Case] = []
    for name, old, new in PAIRS:
        before, after = (_sources(_wheel(folder, name, version)) for version in (old, new))
        for path in sorted(set(before) & set(after)):
            if before[path] != after[path]:
                cases.append(Case(f"{name} {new}: {path}", before[path], after[path], (), path))
    return cases


def _wheel(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{name}-{version}-*.whl"
    if not list(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "-d", str(folder), f"{name}=={version}"], check=True)
    return next(folder.glob(pattern))


def _sources(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
        return {name: archive.read(name).decode("utf-8").replace("\r\n", "\n") for name in names}
