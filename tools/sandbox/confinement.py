"""A policy as what the launcher is told where there are no namespaces: Landlock, seccomp and a supervisor.

It confines nothing; ``tools.launcher`` does. The ruleset itself is made by ``tools.sandbox.landlock``.
"""

from __future__ import annotations

from typing import Any

from tools.sandbox.landlock import changeable, scopes_signals
from tools.sandbox.policy import Policy
from tools.sandbox.seccomp import program, seccomp_call, supervised_calls


def confinement(policy: Policy, *, signals: bool | None = None) -> dict[str, Any]:
    """The confinement of one command, without its ruleset; raises UnknownProcessor.

    ``signals`` to other processes wait for the supervisor where Landlock lets them pass (None: as this kernel's does).
    """
    return {
        "seccomp": program(
            internet=policy.network, supervised=True, signals=not scopes_signals() if signals is None else signals
        ),
        "seccomp_call": seccomp_call(),
        "calls": supervised_calls(),
        "places": [str(path) for path in changeable(policy)],
        "processes": policy.limits.processes,
    }
