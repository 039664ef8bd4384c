"""Opens the model that a review asks: one that is on this machine already.

It asks nothing and fetches nothing: whoever commits does not want to wait for a download.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.errors import ModelError
from agent.model import Model
from agent.setup import Setup


def require_reviewer(setup: Setup) -> None:
    """Raises UnknownModel or ModelError at once for a model that could never be opened."""
    if setup.config.model is not None:
        from agent.models.fetch import ModelOptions, require_known

        require_known(setup.config.model, ModelOptions())


async def open_reviewer(setup: Setup, say: Callable[[str], None]) -> Model:
    """The model of the settings, loaded; raises ModelError (one that is not here, too) or EngineError."""
    # The native library takes half a second to be loaded, and many a review needs no model.
    from agent.assembly import WANTED_CONTEXT, Talk, open_model
    from agent.models.fetch import ModelOptions, is_here

    if not is_here(setup.config.model, ModelOptions(wanted_context=setup.config.context or WANTED_CONTEXT)):
        raise ModelError("no model is on this machine; fetch one with: agent models pull.")
    return await open_model(setup, Talk(say=say))
