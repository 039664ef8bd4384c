"""Large pasted texts: a short mark stands in the prompt, the text itself is put in when it is sent; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

LINES = 8  # from here on a paste is an attachment
CHARACTERS = 1_000
_MARK = re.compile(r"\[pasted text (\d+): [\d,]+ lines?\]")


@dataclass(frozen=True, slots=True)
class Attachments:
    """The texts whose marks may stand in a prompt."""

    texts: tuple[str, ...] = ()

    def add(self, text: str) -> tuple[Attachments, str]:
        """These and one more, and the mark for it."""
        lines = text.count("\n") + 1
        mark = f"[pasted text {len(self.texts) + 1}: {lines:,} line{'s' if lines > 1 else ''}]"
        return Attachments((*self.texts, text)), mark

    def expand(self, prompt: str) -> str:
        """The prompt with each mark replaced by its text; marks of no text stay as they are."""

        def text_of(match: re.Match[str]) -> str:
            number = int(match[1])
            return self.texts[number - 1] if 1 <= number <= len(self.texts) else match[0]

        return _MARK.sub(text_of, prompt)


def is_large(text: str) -> bool:
    """Whether a pasted text would bury the prompt."""
    return len(text) > CHARACTERS or text.count("\n") + 1 >= LINES
