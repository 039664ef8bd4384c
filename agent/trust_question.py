"""The question whether a repository's own settings are to count, on a plain terminal.

What they would turn on is found by ``agent.trust``.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from agent.remembered import Remembered
from agent.setup import Setup
from agent.trust import what_trust_turns_on
from agent.visible import visible


def ask_for_trust(settings: Callable[[], Setup], console: Console, read: Callable[[str], str | None]) -> Setup:
    """The settings, after the question whether those of a repository that is not trusted yet are to count."""
    setup = settings()
    remembered = Remembered(setup.state)
    lines = what_trust_turns_on(setup.root)
    if setup.bare or not lines or remembered.is_trusted(setup.root):
        return setup
    console.print(Text(f"{visible(str(setup.root))} brings its own settings. Trusting it would turn on:"))
    for line in lines:
        console.print(Text(f"  {visible(line)}"), soft_wrap=True)
    try:
        said = read("Trust it? Its settings count until they change. [y]es or no: ")
    except EOFError:
        said = None
    if (said or "").strip().lower() not in ("y", "yes"):
        return setup
    remembered.trust(setup.root)
    return settings()
