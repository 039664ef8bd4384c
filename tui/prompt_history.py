"""The prompts of earlier, one a line as JSON in the state folder; shared by all sessions of this user.

A history that cannot be read or written is a pity and no error.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

KEPT = 2_000
_MOST_CHARACTERS = 20_000  # of one prompt


class PromptHistory:
    """The file ``prompts.jsonl``; ``path`` None keeps prompts in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._prompts = self._read()

    @property
    def prompts(self) -> tuple[str, ...]:
        """Oldest first, each once."""
        return tuple(self._prompts)

    def add(self, prompt: str) -> None:
        """Remember a prompt; one that was there before moves to the end."""
        prompt = prompt.strip()[:_MOST_CHARACTERS]
        if not prompt:
            return
        if prompt in self._prompts:
            self._prompts.remove(prompt)
        self._prompts.append(prompt)
        self._append(prompt)

    def _read(self) -> list[str]:
        if self._path is None:
            return []
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        prompts: dict[str, None] = {}
        for line in lines:
            try:
                prompt = json.loads(line)
            except ValueError:
                continue
            if isinstance(prompt, str):
                prompts.pop(prompt, None)
                prompts[prompt] = None
        kept = list(prompts)[-KEPT:]
        if len(lines) > 2 * KEPT:
            self._rewrite(kept)
        return kept

    def _append(self, prompt: str) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(prompt) + "\n")
        except OSError:
            return

    def _rewrite(self, prompts: list[str]) -> None:
        assert self._path is not None
        temporary = self._path.with_suffix(f".{os.getpid()}")
        try:
            temporary.write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts), encoding="utf-8")
            temporary.chmod(0o600)
            temporary.replace(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)


class HistoryWalk:
    """Up and down through the prompts; what was being typed comes back at the end."""

    def __init__(self, prompts: tuple[str, ...]) -> None:
        self._prompts = prompts
        self._at = len(prompts)
        self._typed = ""

    def up(self, typed: str) -> str | None:
        """The prompt before; None at the beginning."""
        if self._at == 0:
            return None
        if self._at == len(self._prompts):
            self._typed = typed
        self._at -= 1
        return self._prompts[self._at]

    def down(self) -> str | None:
        """The prompt behind, in the end what was being typed; None when nothing is walked."""
        if self._at == len(self._prompts):
            return None
        self._at += 1
        return self._typed if self._at == len(self._prompts) else self._prompts[self._at]
