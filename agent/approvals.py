"""Asks the user about calls that the rules leave open, and remembers what they settled for the session.

It decides nothing by itself: ``agent.permissions`` does; the answer arrives through ``answer``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.events import AgentEvent, ApprovalAnswered, ApprovalRequested
from agent.messages import ToolCall
from agent.permissions import Decision, Mode, Rules, Ruling, Verdict, decide
from agent.visible import warnings_about, warnings_about_command
from tools.base import Effect


@dataclass(frozen=True, slots=True)
class Question:
    """A call together with what a person needs to see to decide; ``preview`` is a diff or the command, unabridged."""

    call: ToolCall
    effect: Effect
    preview: str


class Approvals:
    """Mode, rules and open questions of one session.

    ``interactive`` False turns every question into a refusal that tells the model why. ``remember_always`` is called
    with a command rule that the user wants kept beyond the session. ``unconfined`` is why commands cannot be confined:
    then each of them is a question.
    """

    def __init__(
        self,
        mode: Mode,
        rules: Rules,
        *,
        interactive: bool,
        remember_always: Callable[[str], None] | None = None,
        unconfined: str = "",
    ) -> None:
        self.mode = mode
        self.rules = rules
        self.interactive = interactive
        self._remember_always = remember_always
        self._unconfined = unconfined
        self._open: dict[str, asyncio.Future[tuple[Decision, str]]] = {}

    def rule(self, call: ToolCall, effect: Effect) -> Ruling:
        """The ruling on a call, with questions turned into refusals where nobody can answer."""
        ruling = decide(self.mode, effect, call, self.rules)
        if effect is Effect.EXECUTE and self._unconfined and ruling.verdict is Verdict.ALLOW:
            ruling = Ruling(Verdict.ASK, self._unconfined)
        if ruling.verdict is Verdict.ASK and not self.interactive:
            return Ruling(Verdict.DENY, f"{ruling.reason}, and nobody is here to approve it")
        return ruling

    async def ask(self, question: Question, ruling: Ruling, emit: Callable[[AgentEvent], None]) -> str | None:
        """Put the question and wait; None when the call may run, else why not."""
        request_id = f"ask-{secrets.token_hex(3)}"
        future: asyncio.Future[tuple[Decision, str]] = asyncio.get_running_loop().create_future()
        self._open[request_id] = future
        warn = warnings_about_command if question.effect is Effect.EXECUTE else warnings_about
        facts = (ruling.reason, question.preview, ruling.remember, warn(question.preview))
        emit(ApprovalRequested(request_id, question.call, *facts))
        try:
            decision, note = await future
        finally:
            del self._open[request_id]
        emit(ApprovalAnswered(request_id, decision.value, note))
        if decision is Decision.DENY:
            return "The user refused this call" + (f": {note}" if note else ". Ask what they want instead.")
        if decision is not Decision.ALLOW:
            self._remember(question.effect, ruling, keep=decision is Decision.ALLOW_ALWAYS)
        return None

    def answer(self, request_id: str, decision: Decision, note: str = "") -> bool:
        """Settle an open question; False when it is not open (any more)."""
        future = self._open.get(request_id)
        if future is None or future.done():
            return False
        future.set_result((decision, note))
        return True

    def abandon(self) -> None:
        """Answer every open question with no: the run is being stopped."""
        for request_id in tuple(self._open):
            self.answer(request_id, Decision.DENY, "the run was stopped")

    def _remember(self, effect: Effect, ruling: Ruling, *, keep: bool) -> None:
        if effect is Effect.WRITE:
            self.rules = replace(self.rules, writes=True)
        elif ruling.remember is not None:
            self.rules = self.rules.allowing(ruling.remember)
            if keep and self._remember_always is not None:
                self._remember_always(ruling.remember)
