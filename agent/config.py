"""Config: what the user settled, read once and frozen; flag > environment > project local > project > user > default.

It builds nothing from it (``agent.assembly`` does) and decides nobody's trust (``agent.remembered`` knows it).
"""

from __future__ import annotations

import difflib
import errno
import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import ConfigError

PREFIX = "GEMMA_AGENT_"
_MAX_BYTES = 1_000_000
PROJECT_FILE = ".agent/config.toml"
PROJECT_LOCAL_FILE = ".agent/config.local.toml"
# Settings that open something up: a repository's files cannot, however far it is trusted.
_USERS_OWN = ("sandbox", "network")
_LISTS = frozenset({"allow", "ask", "deny", "network"})


class Config(BaseModel):
    """Every setting with its default. Sizes are tokens, times seconds; None is "as the model or the machine wants".

    ``allow``, ``ask``, ``deny`` and ``network`` are rules (``agent.permissions.Rules``), and those of all places hold
    together; ``sandbox`` is how commands are confined. Sessions are kept for ``keep_days`` after their last use, and
    the latest ones of ``keep_megabytes``. ``kv_disk`` is how many MiB of disk the states of conversations may take (0:
    they are not kept), so that the next start loads them instead of reading. ``kv_type`` is how the KV cache holds its
    numbers: ``q8_0`` takes half the memory of ``f16``. ``drafter`` is ``auto`` (the model's own, where it is here),
    ``none``, or a model. The model runs in a process that programs share, which goes when none
    has used it for ``engine_idle_minutes``; with ``in_process`` it runs in this one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    model: str | None = Field(default=None, min_length=1)
    mode: Literal["default", "accept-edits", "plan", "yolo"] = "default"
    context: int | None = Field(default=None, ge=1024)
    max_turns: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_seconds: float | None = Field(default=None, gt=0)
    response_tokens: int = Field(default=4096, ge=64)
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int = 0
    offline: bool = False
    kv_disk: int = Field(default=4096, ge=0)
    kv_type: Literal["f16", "q8_0"] = "f16"
    drafter: str = Field(default="auto", min_length=1)
    in_process: bool = False
    engine_idle_minutes: float = Field(default=15, ge=0)
    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    sandbox: Literal["auto", "bubblewrap", "landlock", "off"] = "auto"
    keep_days: float | None = Field(default=180, gt=0)
    keep_megabytes: int | None = Field(default=500, ge=1)


@dataclass(frozen=True, slots=True)
class Source:
    """Some settings and where they come from; ``spelling`` writes a key as that place does, for messages."""

    place: str
    values: Mapping[str, object]
    spelling: str = "{key}"


def read_config(sources: Sequence[Source]) -> Config:
    """Put sources together, the weakest first; raises ConfigError that names the place and the key."""
    settled: dict[str, object] = {}
    for source in sources:
        try:
            Config.model_validate(dict(source.values))
        except ValidationError as error:
            raise ConfigError(_explain(source, error)) from error
        settled.update(source.values)
    for key in _LISTS:  # a stronger place must not lift what another one forbids
        settled[key] = [rule for source in sources for rule in cast("Sequence[str]", source.values.get(key, ()))]
    return Config.model_validate(settled)


def file_source(path: Path) -> Source:
    """The settings of a TOML file; none when it does not exist. Keys may be written with ``-`` or ``_``."""
    try:
        values = tomllib.loads(read_settings_file(path).decode("utf-8"))
    except FileNotFoundError:
        values = {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    return Source(str(path), {key.replace("-", "_"): value for key, value in values.items()})


def read_settings_file(path: Path) -> bytes:
    """The content of a settings file, which may be a repository's; raises OSError for what is no file, or too large.

    A FIFO or a device in its place would never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise OSError(errno.EFBIG, "it is too large")
    return content


def environment_source(environment: Mapping[str, str]) -> Source:
    """The ``GEMMA_AGENT_*`` variables that are settings; lists are separated by commas."""
    values: dict[str, object] = {}
    for key in Config.model_fields:
        text = environment.get(PREFIX + key.upper())
        if text:
            values[key] = [part.strip() for part in text.split(",")] if key in _LISTS else text
    return Source("the environment", values, PREFIX + "{key}")


def flag_source(flags: Mapping[str, object]) -> Source:
    """The settings of the command line; those that are None were not given."""
    return Source("the command line", {key: value for key, value in flags.items() if value is not None}, "--{key}")


def user_sources(user_file: Path, project: Path | None) -> list[Source]:
    """The files: the user's, then the project's two when ``project`` (its root) is given, that is: trusted."""
    names = () if project is None else (project / PROJECT_FILE, project / PROJECT_LOCAL_FILE)
    return [file_source(user_file), *(_project_source(path) for path in names)]


def _project_source(path: Path) -> Source:
    source = file_source(path)
    if own := next((key for key in _USERS_OWN if key in source.values), None):
        raise ConfigError(f"{path}: {own} is for your own settings, not for a repository's; remove it there.")
    return source


def tightening(source: Source) -> Source:
    """Of a place that is not trusted, the settings that can only make for more questions and refusals."""
    values = source.values
    kept: dict[str, object] = {key: values[key] for key in ("ask", "deny") if isinstance(values.get(key), list)}
    kept |= {key: wish for key, wish in _TIGHT.items() if values.get(key) == wish}
    return Source(source.place, kept, source.spelling)


_TIGHT: Mapping[str, object] = {"mode": "plan", "offline": True}


def _explain(source: Source, error: ValidationError) -> str:
    first = error.errors()[0]
    key = str(first["loc"][0])
    written = source.spelling.format(key=key.upper() if PREFIX in source.spelling else key)
    written = written.replace("_", "-") if written.startswith("--") else written
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, Config.model_fields, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the settings are {', '.join(Config.model_fields)}."
        return f"{source.place}: there is no setting {written}; {hint}"
    return f"{source.place}: {written}: {first['msg'][:1].lower()}{first['msg'][1:]}, not {first['input']!r}."
