"""The program of an engine host: told its settings on standard input, it listens, loads the model, and serves.

``agent.engine_hosts`` starts it and goes on when ``listening`` comes on standard output. What a host does is in
``inference.host``. Its standard error is the log; nothing that was said to a model gets there.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import resource
import signal
import stat
import sys
from typing import TextIO

from agent.engine_hosts import HostOrders, make_way
from inference.host_files import HostFiles, listen

LOG_BYTES = 1 << 20
"""A log that has become longer begins anew."""


class _Log(logging.StreamHandler[TextIO]):
    """Writes to standard error, a file, and keeps it short."""

    def emit(self, record: logging.LogRecord) -> None:
        _shorten_log()
        super().emit(record)


def main() -> None:
    """Serve until the host goes."""
    orders = HostOrders.model_validate_json(sys.stdin.buffer.read())
    _settle()
    files = HostFiles(orders.folder, orders.key)
    listener = listen(files)
    print("listening", flush=True)
    _let_go(0, 1)
    # Imported only here: until now a client has been waiting.
    from agent.local_engine import local_engine
    from inference.host import HostOptions, serve

    options = HostOptions(orders.build, str(orders.settings.model), orders.idle_seconds)
    with listener:
        serve(lambda on_load: local_engine(orders.settings, on_load, lambda: make_way(files)), files, options, listener)


def _settle() -> None:
    """Be a process that nothing from outside ends or looks into, except for who asks it to go."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # A dump of the memory would hold every prompt.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _shorten_log()
    # The thread that fails alone: others run on while theirs would be printed, and then the printing itself fails.
    faulthandler.enable(all_threads=False)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING, handlers=[_Log(sys.stderr)]
    )


def _shorten_log() -> None:
    status = os.fstat(2)
    if stat.S_ISREG(status.st_mode) and status.st_size > LOG_BYTES:
        os.ftruncate(2, 0)


def _let_go(*descriptors: int) -> None:
    """Hold nothing of whoever started us."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor)
    os.close(nothing)


if __name__ == "__main__":
    main()
