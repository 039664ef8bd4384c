"""Where model files live on this machine and where they come from, read once from the environment.

It creates no folder and opens no file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from agent.errors import ConfigError

_PACKAGED = Path(__file__).with_name("packaged")
DEFAULT_ENDPOINT = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Places:
    """``models`` is our own folder, ``hub_cache`` the Hugging Face cache that other programs share; ``packaged`` holds
    what is installed with this program.

    ``environment`` is what child processes (pip) get.
    """

    models: Path
    hub_cache: Path
    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = field(default=None, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    packaged: Path = _PACKAGED

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Places:
        """Honours GEMMA_AGENT_MODELS, XDG_CACHE_HOME, HF_HUB_CACHE, HF_HOME, HF_ENDPOINT and HF_TOKEN.

        Raises ConfigError when HF_ENDPOINT is no address: huggingface_hub could not even be imported with it.
        """
        env = os.environ if environment is None else environment
        home = Path(env["HOME"]) if env.get("HOME") else Path.home()
        cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
        hub_home = Path(env.get("HF_HOME") or cache / "huggingface")
        return cls(
            models=Path(env.get("GEMMA_AGENT_MODELS") or cache / "gemma-agent" / "models").expanduser(),
            hub_cache=Path(env.get("HF_HUB_CACHE") or hub_home / "hub").expanduser(),
            endpoint=_address(env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/"),
            token=env.get("HF_TOKEN") or None,
            environment=dict(env),
        )


def _address(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in endpoint):
        raise ConfigError(f"HF_ENDPOINT is no address of a model hub: {endpoint!r}; correct or unset it.")
    return endpoint
