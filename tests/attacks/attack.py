"""What an attack is, and how code becomes a command; no attack is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.attacks.ground import THROUGH, Ground


@dataclass(frozen=True, slots=True)
class Attack:
    """``control``: run without a sandbox it does harm (and only to the ground), which shows that the trap works. The
    others would harm the machine, or are stopped by the launcher and the environment's allow list already.

    ``landlock`` is why that tier cannot stop it; ``network`` and ``writes`` are what the user allowed.
    """

    name: str
    kind: str
    command: str = ""
    act: Callable[[Ground], str] | None = None
    landlock: str = ""
    control: bool = True
    network: bool = False
    writes: bool = True
    seconds: float = 20

    def run(self, ground: Ground) -> str:
        """Carry it out; what came back."""
        if self.act is not None:
            return self.act(ground)
        return ground.command(self.command, network=self.network, writes=self.writes, seconds=self.seconds)


def python(code: str) -> str:
    """A command that runs Python code; quotes in it must be double ones."""
    return f"/usr/bin/python3 -c '{code}'"


def syscall(names: str, arguments: str) -> str:
    """Python code that makes a system call by number and says whether it went through."""
    x86, generic = names.split("/")
    return python(
        "import ctypes, platform; l = ctypes.CDLL(None, use_errno=True); "
        f'n = {x86} if platform.machine() == "x86_64" else {generic}; '
        f'print("{THROUGH}" if l.syscall(n, {arguments}) >= 0 else ctypes.get_errno())'
    )
