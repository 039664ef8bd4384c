"""Keeps the state of a training run on disk, whole or not at all, and brings it back exactly.

It decides nothing about training.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from agent.models.display import duration_text


class Optimizer(Protocol):
    """What changes a model's weights."""

    def set_rate(self, rate: float) -> None:
        """The rate of the next step."""
        ...

    def zero_grad(self) -> None:
        """Forget the gradients."""
        ...

    def step(self) -> None:
        """Change the weights by their gradients."""
        ...

    def state_dict(self) -> list[dict[str, Any]]:
        """What the next step depends on."""
        ...

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on from what ``state_dict`` gave."""
        ...


@dataclass
class Run:
    """What goes on from step to step; ``step`` counts the steps that are done, ``seconds`` those spent on them."""

    model: torch.nn.Module
    optimizer: Optimizer
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list[float])

    def save(self, path: Path) -> None:
        """Write everything; a run that dies here finds the file from before."""
        draft = path.with_suffix(".tmp")
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses,
            "random": torch.get_rng_state(),
        }
        with draft.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def load(self, path: Path, device: torch.device) -> bool:
        """Go on where the file was written; False where there is none."""
        if not path.exists():
            return False
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"]
        torch.set_rng_state(state["random"].cpu())
        return True


def wait_while(path: Path | None) -> float:
    """Do nothing as long as a file exists; the seconds that it took."""
    began = time.monotonic()
    while path is not None and path.exists():
        time.sleep(1)
    return time.monotonic() - began


def time_left(run: Run, steps: int) -> str:
    """The time that the remaining steps will take at the speed so far, for people."""
    if not run.step:
        return "unknown"
    return duration_text((steps - run.step) * run.seconds / run.step)
