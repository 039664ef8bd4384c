"""``agent`` on a terminal: opens the application; the command line finds this module by its name."""

from __future__ import annotations

import argparse
import asyncio
import os

from tui.app import AgentApp, run_app
from tui.host import Host


def run_tui(args: argparse.Namespace) -> int:
    """Work until the user leaves; the exit code. Raises AgentError for settings or sessions that cannot be used."""
    host = Host(args)
    app = AgentApp(host, colourless=os.environ.get("NO_COLOR", "") != "")
    return asyncio.run(run_app(app))
