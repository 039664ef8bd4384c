"""Makes a session's transcript: new, or from what the store kept, by the same model or another one.

It opens no store and builds no session.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.compaction import Opening, record_of
from agent.messages import AssistantMessage, Message, ToolResultMessage
from agent.model import Conversation, Model
from agent.store import StoredSession
from agent.toolset import Toolset
from agent.transcript import Transcript
from prompts import load

# Of a conversation that another model held, at most this share of the context is shown as text.
_RECORD_SHARE = 3


@dataclass(frozen=True, slots=True)
class Resumed:
    """A conversation to go on with; ``exact`` when the model reads the very tokens of before."""

    conversation: Conversation
    exact: bool


def resume_conversation(model: Model, opening: Opening, toolset: Toolset, stored: StoredSession) -> Resumed:
    """The stored conversation token by token; as plain text when another model made it or it is damaged."""
    if stored.snapshot is not None:
        try:
            return Resumed(model.restore(stored.snapshot.dump), exact=True)
        except ValueError:
            pass
    conversation = model.open(opening.system, toolset.specs())
    if stored.messages:
        record = record_of(conversation, stored.messages, model.info.context_tokens // _RECORD_SHARE)
        conversation.add_user(opening.preface + load("resumed", record=record))
    return Resumed(conversation, exact=not stored.messages)


def take_over(transcript: Transcript, stored: StoredSession, resumed: Resumed) -> None:
    """Give a new transcript the stored messages; calls that a crash cut off get a result that says so."""
    generation = stored.snapshot.generation if stored.snapshot is not None else 0
    kept = resumed.exact and stored.snapshot is not None
    transcript.resume(stored.messages, generation, stored.positions if kept else None)
    cut_off = unanswered(stored.messages)
    if cut_off and resumed.exact:
        transcript.add_results(cut_off)


def unanswered(messages: tuple[Message, ...]) -> list[ToolResultMessage]:
    """Results for the last response's calls when none were kept."""
    last = messages[-1] if messages else None
    if not isinstance(last, AssistantMessage):
        return []
    text = load("result_interrupted")
    return [ToolResultMessage(call.id, call.name, text, is_error=True) for call in last.tool_calls]
