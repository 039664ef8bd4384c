"""The Python files that training learns from, with their licences, and which of them are held out.

They lie on every machine where the tests run: the standard library, and packages that the tests install. It reads
paths and texts, runs nothing and imports none of them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STANDARD_LIBRARY = "python"
LICENCES = {
    STANDARD_LIBRARY: "PSF-2.0",
    "anyio": "MIT",
    "attrs": "MIT",
    "click": "BSD-3-Clause",
    "fsspec": "BSD-3-Clause",
    "gitdb": "BSD-3-Clause",
    "GitPython": "BSD-3-Clause",
    "grimp": "BSD-2-Clause",
    "h11": "MIT",
    "httpcore2": "BSD-3-Clause",
    "httpx2": "BSD-3-Clause",
    "huggingface_hub": "Apache-2.0",
    "identify": "MIT",
    "idna": "BSD-3-Clause",
    "import-linter": "BSD-2-Clause",
    "Jinja2": "BSD-3-Clause",
    "jsonschema": "MIT",
    "linkify-it-py": "MIT",
    "markdown-it-py": "MIT",
    "mdit-py-plugins": "MIT",
    "packaging": "Apache-2.0 OR BSD-2-Clause",
    "platformdirs": "MIT",
    "pluggy": "MIT",
    "pre_commit": "MIT",
    "pydantic": "MIT",
    "Pygments": "BSD-2-Clause",
    "pytest": "MIT",
    "PyYAML": "MIT",
    "referencing": "MIT",
    "requests": "Apache-2.0",
    "rich": "MIT",
    "sortedcontainers": "Apache-2.0",
    "textual": "MIT",
    "urllib3": "MIT",
    "virtualenv": "MIT",
}
"""Origins (distributions; ``python`` is the standard library) and their licences: permissive ones only."""

_HELD_OUT_SHARE = 20  # one file of so many
_LARGEST = 200_000  # bytes; longer ones are tables
_NOT_CODE = {"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "pydoc_data", "lexers", "_vendor"}


@dataclass(frozen=True, slots=True)
class Source:
    """One file: where it is from, its path there (``json/decoder.py``), and where it lies here."""

    origin: str
    name: str
    path: Path

    @property
    def label(self) -> str:
        """Origin and name in one."""
        return f"{self.origin}/{self.name}"

    @property
    def held_out(self) -> bool:
        """Whether no training may see it; depends on origin and name only, so it is the same everywhere."""
        digest = hashlib.sha256(self.label.encode()).digest()
        return digest[0] % _HELD_OUT_SHARE == 0

    def text(self) -> str | None:
        """The text; None where it is no UTF-8, no ASCII-only code, or too long to be code that somebody wrote."""
        content = self.path.read_bytes()
        if len(content) > _LARGEST or not content.isascii():
            return None
        return content.decode().replace("\r\n", "\n")


def all_sources() -> list[Source]:
    """Every file, in an order that does not depend on the machine; origins that are not installed are left out."""
    found = [*_standard_library()]
    for origin in LICENCES:
        if origin != STANDARD_LIBRARY:
            found.extend(_distribution(origin))
    return sorted(found, key=lambda source: (source.origin, source.name))


def _standard_library() -> Iterator[Source]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in root.rglob("*.py"):
        name = path.relative_to(root)
        if not _NOT_CODE & set(name.parts):
            yield Source(STANDARD_LIBRARY, name.as_posix(), path)


def _distribution(origin: str) -> Iterator[Source]:
    try:
        files = importlib.metadata.files(origin) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files:
        path = Path(str(file.locate()))
        if file.suffix == ".py" and not _NOT_CODE & set(file.parts) and path.is_file():
            yield Source(origin, file.as_posix(), path)
