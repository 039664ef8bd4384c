"""Going back and forth in a session: files and conversation together, or one of them.

Files are the journal's, the conversation is the transcript's. The KV cache needs nothing: it is found by token ids.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import UsageError
from agent.journal import Journal
from agent.messages import UserMessage
from agent.model import Conversation, Model
from agent.restore import UndoReport
from agent.transcript import Forgotten, Transcript, TranscriptMark


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a session to come back to: transcript and files."""

    transcript: TranscriptMark
    journal: int


@dataclass(frozen=True, slots=True)
class RewindPoint:
    """The point before a user message; ``files`` were changed since, and stand changed.

    ``conversation`` is False where only files can go back: after a compaction that an earlier process made.
    """

    message_id: str
    text: str
    files: tuple[str, ...]
    conversation: bool


@dataclass(frozen=True, slots=True)
class _Step:
    """Something that was taken back, to be redone."""

    files: bool
    conversation: Forgotten | None = None


class Rewinder:
    """Undo, redo and rewind of one session; what was undone can be redone until something new happens."""

    def __init__(self, transcript: Transcript, journal: Journal, model: Model) -> None:
        self._transcript = transcript
        self._journal = journal
        self._model = model
        self._undone: list[_Step] = []

    def begin_run(self, message_id: str) -> None:
        """A run begins with this message: nothing can be redone any more."""
        self._undone.clear()
        self._journal.begin_run(message_id)

    def note_message(self, message_id: str) -> None:
        """A steering message reached the model: there is a point before it too."""
        self._journal.note_message(message_id)

    def points(self) -> tuple[RewindPoint, ...]:
        """Where to go back to, the latest first."""
        said = [each for each in self._transcript.messages if isinstance(each, UserMessage)]
        files = self._journal.paths_since([each.id for each in said])
        return tuple(
            RewindPoint(each.id, each.text, files[each.id], self._transcript.can_rewind(each.id))
            for each in reversed(said)
        )

    def mark(self) -> Mark:
        """The point that is now."""
        return Mark(self._transcript.mark(), self._journal.mark())

    def rewind_to(self, mark: Mark, *, files: bool = True, conversation: bool = True) -> UndoReport:
        """Go back to a mark, for good."""
        self._undone.clear()
        report = self._journal.undo_since(mark.journal) if files else UndoReport()
        if conversation and not report.refused:
            self._transcript.rewind(mark.transcript)
        return report

    def preview(self, message_id: str) -> UndoReport:
        """What rewinding the files to before a user message would come to now."""
        return self._journal.preview(self._journal_mark(message_id))

    def rewind(self, message_id: str, *, files: bool = True, conversation: bool = True) -> UndoReport:
        """Go back to before a user message; ``redo`` takes it back. Raises UsageError when there is no such point."""
        mark = self._transcript.mark_before(message_id) if conversation else None
        report = self._journal.undo_since(self._journal_mark(message_id)) if files else UndoReport()
        if report.refused:
            return report
        forgotten = None
        if mark is not None:
            forgotten = self._transcript.remember(self._copy(self._transcript.conversation))
            self._transcript.rewind(mark)
        self._undone.append(_Step(bool(report.restored), forgotten))
        return report

    def undo(self) -> UndoReport:
        """Take back the file changes of the latest run that has any; the conversation stays."""
        report = self._journal.undo_last_run()
        if not report.refused and (report.restored or report.unrecorded):
            self._undone.append(_Step(files=True))
        return report

    def redo(self) -> UndoReport:
        """Take back the latest undo or rewind, as long as nothing new happened since."""
        step = self._undone[-1] if self._undone else _Step(files=True)
        report = self._journal.redo() if step.files else UndoReport(word="redo")
        if report.refused:
            return report
        if self._undone:
            self._undone.pop()
        if step.conversation is not None:
            self._transcript.bring_back(step.conversation)
        return report

    def _journal_mark(self, message_id: str) -> int:
        """The journal's point before a user message; raises UsageError when it is unknown."""
        ids = [each.id for each in self._transcript.messages if isinstance(each, UserMessage)]
        if message_id not in ids:
            raise UsageError(f"There is no message {message_id} to go back to in this session.")
        marks = (self._journal.mark_before(each) for each in ids[ids.index(message_id) :])
        return next((mark for mark in marks if mark is not None), self._journal.mark())

    def _copy(self, conversation: Conversation) -> Conversation:
        return self._model.restore(conversation.dump())
