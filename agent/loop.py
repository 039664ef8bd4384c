"""run_turns(): model, tools, model, until no tool is called; the whole loop on one screen.

It names no tool and no model, and keeps nothing: ``agent.run`` has the steps and what a run spends.
"""

from __future__ import annotations

from agent.events import RunEnd
from agent.run import Run


async def run_turns(run: Run) -> RunEnd:
    """Work until the model calls no tool, a limit is reached, it repeats itself, or the run is stopped.

    A turn is one model response and its tool calls. Raises AgentError or EngineError when the model cannot answer.
    """
    while True:
        if end := run.spent():
            return end
        run.begin_turn()
        await run.make_room()
        message = await run.ask_model()
        if message.tool_calls:
            await run.use_tools(message)
        if end := run.ended_after(message):
            return end
        run.deliver_steers()
