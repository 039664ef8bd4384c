"""Where model files live on this machine and where they come from, read once from the environment.

It creates no folder and opens no file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_ENDPOINT = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Places:
    """``models`` is our own folder, ``hub_cache`` the Hugging Face cache that other programs share.

    ``environment`` is what child processes (pip) get.
    """

    models: Path
    hub_cache: Path
    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = field(default=None, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Places:
        """Honours GEMMA_AGENT_MODELS, XDG_CACHE_HOME, HF_HUB_CACHE, HF_HOME, HF_ENDPOINT and HF_TOKEN."""
        env = os.environ if environment is None else environment
        home = Path(env["HOME"]) if env.get("HOME") else Path.home()
        cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
        hub_home = Path(env.get("HF_HOME") or cache / "huggingface")
        return cls(
            models=Path(env.get("GEMMA_AGENT_MODELS") or cache / "gemma-agent" / "models").expanduser(),
            hub_cache=Path(env.get("HF_HUB_CACHE") or hub_home / "hub").expanduser(),
            endpoint=(env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/"),
            token=env.get("HF_TOKEN") or None,
            environment=dict(env),
        )
