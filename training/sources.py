"""The Python files that training learns from, with their licences, and which of them are held out.

The first lie on every machine where the tests run: the standard library, and packages that the tests install. Many more
can be had for a training. It reads paths and texts, runs nothing and imports none of them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
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

MORE = {
    "algorithms": "MIT",
    "arrow": "Apache-2.0",
    "astropy": "BSD-3-Clause",
    "babel": "BSD-3-Clause",
    "beautifulsoup4": "MIT",
    "black": "MIT",
    "bokeh": "BSD-3-Clause",
    "boltons": "BSD-3-Clause",
    "Cerberus": "ISC",
    "coverage": "Apache-2.0",
    "dask": "BSD-3-Clause",
    "distributed": "BSD-3-Clause",
    "Django": "BSD-3-Clause",
    "dnspython": "ISC",
    "fonttools": "MIT",
    "funcy": "BSD-3-Clause",
    "geopy": "MIT",
    "glom": "BSD-3-Clause",
    "html5lib": "MIT",
    "humanize": "MIT",
    "inflect": "MIT",
    "jedi": "MIT",
    "jellyfish": "MIT",
    "lark": "MIT",
    "lifelines": "MIT",
    "Markdown": "BSD-3-Clause",
    "marshmallow": "MIT",
    "matplotlib": "PSF-2.0",
    "Mesa": "Apache-2.0",
    "mistune": "BSD-3-Clause",
    "more-itertools": "MIT",
    "mpmath": "BSD-3-Clause",
    "music21": "BSD-3-Clause",
    "mypy": "MIT",
    "networkx": "BSD-3-Clause",
    "nltk": "Apache-2.0",
    "numpy": "BSD-3-Clause",
    "openpyxl": "MIT",
    "pandas": "BSD-3-Clause",
    "parso": "MIT",
    "Pint": "BSD-3-Clause",
    "plotly": "MIT",
    "prettytable": "BSD-3-Clause",
    "pycodestyle": "MIT",
    "pyparsing": "MIT",
    "pypdf": "BSD-3-Clause",
    "python-dateutil": "BSD-3-Clause",
    "rdflib": "BSD-3-Clause",
    "scikit-image": "BSD-3-Clause",
    "scikit-learn": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "Sphinx": "BSD-2-Clause",
    "SQLAlchemy": "MIT",
    "sqlparse": "BSD-3-Clause",
    "statsmodels": "BSD-3-Clause",
    "sympy": "BSD-3-Clause",
    "tabulate": "MIT",
    "textblob": "MIT",
    "textdistance": "MIT",
    "toolz": "BSD-3-Clause",
    "torch-geometric": "MIT",
    "tornado": "Apache-2.0",
    "traitlets": "BSD-3-Clause",
    "transformers": "Apache-2.0",
    "Twisted": "MIT",
    "voluptuous": "BSD-3-Clause",
    "Werkzeug": "BSD-3-Clause",
    "xarray": "Apache-2.0",
    "xlsxwriter": "BSD-2-Clause",
}
"""Further ones that are wanted for a training alone; licences of the versions of 2026-11-30, as they say themselves."""

_HELD_OUT_SHARE = 20  # one file of so many
_LARGEST = 200_000  # bytes; longer ones are tables
_NOT_CODE = {"test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "pydoc_data", "lexers", "_vendor"}


@dataclass(frozen=True, slots=True)
class Source:
    """One file: where it is from, its path there (``json/decoder.py``), where it lies here, and whether other code can
    import its package."""

    origin: str
    name: str
    path: Path
    importable: bool = True

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


def all_sources(more: Path | None = None) -> list[Source]:
    """Every file, in an order that does not depend on the machine; origins that are not installed are left out.

    ``more`` is a folder with further packages (``pip install --target``), which are read and not imported.
    """
    found = [*_standard_library()]
    for origin in LICENCES:
        if origin != STANDARD_LIBRARY:
            found.extend(_distribution(origin))
    for origin in MORE if more else ():
        found.extend(_distribution(origin, more))
    return sorted(found, key=lambda source: (source.origin, source.name))


def _standard_library() -> Iterator[Source]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in root.rglob("*.py"):
        name = path.relative_to(root)
        if not _NOT_CODE & set(name.parts):
            yield Source(STANDARD_LIBRARY, name.as_posix(), path)


def _distribution(origin: str, folder: Path | None = None) -> Iterator[Source]:
    path = [str(folder)] if folder else sys.path
    for found in islice(importlib.metadata.distributions(name=origin, path=path), 1):
        for file in found.files or []:
            place = Path(str(file.locate()))
            if file.suffix == ".py" and not _NOT_CODE & set(file.parts) and place.is_file():
                yield Source(origin, file.as_posix(), place, importable=folder is None)
