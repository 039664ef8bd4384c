"""Every word that a model reads, as Markdown files with ``${values}``; this module loads them and decides nothing."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template


@cache
def _source(name: str) -> Template:
    path = files("prompts").joinpath(f"{name}.md")
    return Template(path.read_text(encoding="utf-8").strip())


def load(name: str, /, **values: str) -> str:
    """The prompt ``name`` (a path below prompts/ without ``.md``) with its values filled in.

    Raises FileNotFoundError for a missing prompt and KeyError for a value that it names and was not given.
    """
    return _source(name).substitute(values)
