"""Where the engine of a model's files runs: in the host that programs share, or in this process.

It loads nothing before the engine is started; beside ``agent.assembly`` the only module that names concrete classes.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

from agent.engine_settings import EnginePlace, EngineSettings
from inference.engine import Engine
from inference.errors import HostUnreachable

log = logging.getLogger(__name__)


def make_engine(settings: EngineSettings, place: EnginePlace, on_load: Callable[[float], None]) -> Engine:
    """An engine that is not started yet; its ``start`` raises ModelLoadError, NotEnoughMemory or HostUnreachable.

    Raises ModelLoadError at once for a file that cannot be read.

    Where there are no Unix sockets, or no folder for them, it is in this process anyhow.
    """
    if not place.in_process and hasattr(socket, "AF_UNIX"):
        from agent.engine_hosts import hosted_engine

        try:
            return hosted_engine(settings, place.idle_seconds, on_load)
        except HostUnreachable as error:
            log.warning("%s The model runs in this process.", error)
    from agent.engine_hosts import make_way
    from agent.local_engine import local_engine

    return local_engine(settings, on_load, make_way)
