"""``agent`` on a terminal: opens the application; the command line finds this module by its name."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping

from tui.app import AgentApp, run_app
from tui.host import Host


def wants_no_colour(environment: Mapping[str, str]) -> bool:
    """Whether NO_COLOR is set, to anything but nothing."""
    return environment.get("NO_COLOR", "") != ""


def run_tui(args: argparse.Namespace) -> int:
    """Work until the user leaves; the exit code. Raises AgentError for settings or sessions that cannot be used."""
    host = Host(args)
    app = AgentApp(host, colourless=wants_no_colour(os.environ))
    code = asyncio.run(run_app(app))
    if host.left is not None and sys.stdout.isatty():
        print(f"agent -r {host.left} goes on with this session.")
    return code
