"""Whose turn it is: engine time shared fairly between clients, one step of one request after the other.

It decodes nothing and owns no thread; ``inference.in_process`` asks it between any two steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from inference.jobs import Job
from inference.request import EngineEvent, Finished, FinishReason, Request, Stats

ALONE_SECONDS = 2.0
"""How long a chunk of a prompt may take while nobody else is served: so long a newcomer waits at most."""

SHARED_SECONDS = 0.25
"""And while others are: about what they notice as a pause between two of their tokens."""


class Serve(Protocol):
    """What ``Worker.serve`` is."""

    def __call__(
        self, request: Request, cancelled: Callable[[], bool], pace: Callable[[], float]
    ) -> Generator[EngineEvent]:
        """Serve one request, a step an event."""
        ...


class FairShares:
    """How much of the engine's time each client had, in seconds; who had the least is next.

    This is start-time fair queueing: a client that wanted nothing for a while begins again at the level of the others,
    so time cannot be saved up; what it had beyond that level stays on its account.
    """

    def __init__(self) -> None:
        self._used: dict[str, float] = {}
        self._level = 0.0

    def next(self, clients: Sequence[str]) -> str:
        """Of ``clients`` (at least one), which want to be served now, the one that had least; ties by their order."""
        known = (self._used.get(client, -1.0) for client in clients)
        # Below the level lies what clients had who were away while somebody was alone.
        self._level = max(self._level, min((used for used in known if used >= self._level), default=0.0))
        for client in clients:
            self._used[client] = max(self._used.get(client, 0.0), self._level)
        self._used = {c: used for c, used in self._used.items() if used > self._level or c in clients}
        return min(clients, key=lambda client: self._used[client])

    def alone(self, client: str) -> None:
        """``next`` where there is no choice: quick, because it stands between any two decodes."""
        self._level = self._used[client] = max(self._used.get(client, 0.0), self._level)

    def charge(self, client: str, seconds: float) -> None:
        """The client was served for so long."""
        self._used[client] = self._used.get(client, self._level) + seconds


@dataclass(eq=False, slots=True)
class Turn:
    """A job that is being served; ``events`` does the work as it is iterated, one step an event."""

    job: Job
    events: Generator[EngineEvent]


class Scheduler:
    """The jobs of the owner thread. ``slots`` of them may be under way at once, each in its KV sequence.

    Jobs of one client are served in the order of their submission; several clients take turns. Background jobs have
    theirs only while there are no others.
    """

    def __init__(self, serve: Serve, slots: int, clock: Callable[[], float]) -> None:
        self._serve = serve
        self._slots = slots
        self._clock = clock
        self._waiting: deque[Job] = deque()
        self._turns: dict[str, Turn] = {}  # by client
        self._shares = FairShares()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._waiting and not self._turns

    def add(self, job: Job) -> None:
        """A job that waits from now on."""
        self._waiting.append(job)

    def next(self) -> Turn:
        """Whose turn it is; there has to be something to do."""
        if len(self._turns) == 1 and not self._waiting:
            (turn,) = self._turns.values()
            self._shares.alone(turn.job.client)
            return turn
        for turn in self._turns.values():
            if turn.job.cancelled.is_set():
                return turn  # quickly done, and it makes room
        client = self._shares.next(self._candidates())
        if client not in self._turns:
            job = next(job for job in self._waiting if job.client == client)
            self._waiting.remove(job)
            self._turns[client] = Turn(job, self._begin(job))
        return self._turns[client]

    def step(self, turn: Turn) -> EngineEvent:
        """One step and its event. Behind Finished, or what the worker raises, the turn is over."""
        began, event = self._clock(), None
        try:
            event = next(turn.events)
            return event
        finally:
            self._shares.charge(turn.job.client, self._clock() - began)
            if event is None or isinstance(event, Finished):
                self.drop(turn)

    def drop(self, turn: Turn) -> None:
        """The turn is over; what was read for it stays in the cache."""
        del self._turns[turn.job.client]
        turn.events.close()

    def clear(self) -> list[Job]:
        """Give up what is under way, and return its jobs."""
        turns = list(self._turns.values())
        for turn in turns:
            self.drop(turn)
        return [turn.job for turn in turns]

    def _begin(self, job: Job) -> Generator[EngineEvent]:
        if job.cancelled.is_set():
            return _cancelled()
        return self._serve(job.request, job.cancelled.is_set, lambda: self._pace(job))

    def _candidates(self) -> list[str]:
        """The clients that can be served now: those under way, then those that wait, by the age of their jobs."""
        under_way = [turn.job for turn in self._turns.values()]
        foreground = any(not job.request.background for job in (*under_way, *self._waiting))
        waiting = [job for job in self._waiting if not (foreground and job.request.background)]
        room = len(under_way) < self._slots
        return list(dict.fromkeys(job.client for job in (*under_way, *(waiting if room else ()))))

    def _pace(self, job: Job) -> float:
        """In seconds, how long a chunk of the job's prompt may take."""
        others = (other for other in self._waiting if other.client != job.client and not other.request.background)
        shared = len(self._turns) > 1 or any(others) or job.request.background
        return SHARED_SECONDS if shared else ALONE_SECONDS


def _cancelled() -> Generator[EngineEvent]:
    """What comes of a job that was cancelled before its first turn."""
    yield Finished(FinishReason.CANCELLED, Stats())
