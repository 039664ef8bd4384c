"""The one error that a tool raises on purpose.

What the world does wrong (a full disk) is told with it too: the model can tell the user.
"""

from __future__ import annotations


class ToolError(Exception):
    """The model's mistake (or bad luck) told in a sentence that says what to do next; becomes an error result."""
