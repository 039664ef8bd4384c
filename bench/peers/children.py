"""Our engine and the high-level ``Llama`` as Systems: each in a child process that speaks JSON lines.

This is the parent's side; ``child`` is the other. It computes nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from bench.peers.completion import Common, Completion, Reply, Setting


class Child:
    """A System in a process of its own; the clock runs there, beside the program's own interface."""

    def __init__(self, setting: Setting, common: Common) -> None:
        self._setting = setting
        self._common = common
        self._process: subprocess.Popen[str] | None = None
        self._version = ""

    @property
    def name(self) -> str:
        return self._setting.name

    @property
    def version(self) -> str:
        return self._version

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        given = json.dumps(
            {"kind": self._setting.kind, "options": self._setting.options, "common": asdict(self._common)}, default=str
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.child", given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._setting.environment},
        )
        self._version = self._ask({"do": "version"})

    def complete(self, completion: Completion) -> Reply:
        answer: dict[str, Any] = self._ask({"do": "complete", **asdict(completion)})
        answer["ids"] = tuple(answer["ids"])
        return Reply(**answer)

    def prepare(self, completion: Completion) -> None:
        self._ask({"do": "prepare", **asdict(completion)})

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of text in which markers such as ``<|im_start|>`` count as control tokens."""
        return tuple(self._ask({"do": "encode", "text": text}))

    def close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(60)

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended without an answer (exit code {self._process.wait()})")
        return json.loads(line)["answer"]
