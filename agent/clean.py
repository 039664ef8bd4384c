"""The one door for text that is not ours on its way to a screen: control sequences are made harmless.

It shortens nothing and knows no markup.
"""

from __future__ import annotations

import re

# C0 except newline and tab, DEL, C1 (a lone U+009B starts a control sequence on some terminals).
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
# Direction overrides and isolates, zero-width and invisible operators, line separators, tags, and lone surrogates
# (which cannot be printed at all).
_INVISIBLE = "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f\ud800-\udfff"
_SEQUENCE = re.compile(
    r"\x1b\][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC: titles, links, the clipboard
    r"|\x1b[PX^_][^\x1b\x9c]*(?:\x1b\\|\x9c)?"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, screen
    r"|\x1b[ -/]*[0-~]?"  # everything else that ESC starts
)
_CHARACTER = re.compile(f"[{_CONTROLS}{_INVISIBLE}]")


def clean(text: str) -> str:
    """The text without terminal control sequences, control, bidi, tag and other invisible characters.

    Newlines and tabs stay, CR LF becomes a newline, and a lone CR (which could overwrite what was shown) too.
    """
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text  # nearly all of it; a stored session of 2,000 messages goes through here when it is opened
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CHARACTER.sub("", _SEQUENCE.sub("", text))
