"""Which stored session ``-c``, ``-r`` and ``--fork`` mean.

It opens none; ``agent.assembly`` does.
"""

from __future__ import annotations

import argparse

from agent.errors import UsageError
from agent.setup import Setup
from agent.store import SessionStore


def choose_session(args: argparse.Namespace, setup: Setup) -> str | None:
    """The id of the session to go on with; None for a new one.

    Raises UsageError when there is none such or it is open elsewhere, StoreError when the store cannot be used.
    """
    if not args.continue_ and args.resume is None:
        if args.fork:
            raise UsageError("--fork needs a session to copy: give -c or -r ID as well.")
        return None
    store = SessionStore(setup.state)
    try:
        if args.resume is not None:
            session_id = store.find(args.resume).id
        else:
            here = store.sessions(setup.root)
            if not here:
                raise UsageError(f"There is no session in {setup.root} to continue yet.")
            session_id = here[0].id
        if args.fork:
            return store.fork(session_id)
        if store.held_elsewhere(session_id):
            raise UsageError(f"Session {session_id} is open in another window; close it there, or add --fork.")
        return session_id
    finally:
        store.close()
