"""What the user settled for a repository once and for all: that it is trusted, and which commands may run.

It lies in the state folder, never in the repository: what a repository says about itself is no trust.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from agent.errors import ConfigError
from agent.trust import settings_digest


class _Settled(BaseModel):
    model_config = ConfigDict(frozen=True)

    trusted: str | bool = False  # the digest of the settings that were trusted; True is from before there was one
    allow: tuple[str, ...] = ()


_FILE = TypeAdapter(dict[str, _Settled])


class Remembered:
    """The file ``repositories.json`` in the state folder; read anew for every question, written atomically."""

    def __init__(self, state: Path) -> None:
        self._path = state / "repositories.json"

    def is_trusted(self, root: Path) -> bool:
        """Whether the user trusts the repository at ``root`` with the settings that it has now.

        Raises ConfigError when the file is damaged.
        """
        return self._read().get(str(root), _Settled()).trusted == settings_digest(root)

    def trust(self, root: Path) -> None:
        """From now on the repository's own settings count, until they change; raises ConfigError."""
        self._change(root, trusted=settings_digest(root))

    def trusted_before(self, root: Path) -> bool:
        """Whether the user trusted other settings of this repository."""
        return bool(self._read().get(str(root), _Settled()).trusted) and not self.is_trusted(root)

    def allowed(self, root: Path) -> tuple[str, ...]:
        """Command rules that the user settled with "always"."""
        return self._read().get(str(root), _Settled()).allow

    def allow(self, root: Path, rule: str) -> None:
        """Keep a command rule."""
        if rule not in self.allowed(root):
            self._change(root, allow=(*self.allowed(root), rule))

    def _read(self) -> dict[str, _Settled]:
        try:
            return _FILE.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise ConfigError(f"{self._path} is damaged; delete it, and trust your repositories anew.") from error
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be read: {error.strerror}.") from error

    def _change(self, root: Path, **changes: object) -> None:
        settled = self._read()
        settled[str(root)] = settled.get(str(root), _Settled()).model_copy(update=changes)
        text = json.dumps({key: value.model_dump() for key, value in settled.items()}, indent=1)
        temporary = self._path.with_suffix(f".{secrets.token_hex(4)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with temporary.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}.") from error
