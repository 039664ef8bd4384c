"""Working in a window: messages, approvals, steering, interrupting; by the keys that a user presses."""

from __future__ import annotations

import asyncio

from tests.fakes.scripted_model import Call, Scripted
from tests.tui.windows import Door
from tui.screens.approval import ApprovalScreen
from tui.view_state import Answer, CallState, Ended, Prompted, ToolCard

EDIT = Call("edit", {"path": "orders.py", "replacements": [{"find": "sum(prices) + 1", "replace": "sum(prices)"}]})
READ = Call("read", {"path": "orders.py"})


def test_a_repair_from_the_first_word_to_the_changed_file(door: Door) -> None:
    async def go() -> None:
        script = [Scripted("I **read** it.", calls=(READ,)), Scripted("", calls=(EDIT,)), Scripted("Done.")]
        async with door.open(script) as window:
            await window.say("fix the total")
            await window.until(lambda: isinstance(window.app.screen, ApprovalScreen))
            assert "Edit orders.py?" in window.screen_text
            assert "-     return sum(prices) + 1" in window.screen_text
            await window.press("y")
            await window.idle()
            assert (door.root / "orders.py").read_text() == "def total(prices):\n    return sum(prices)\n"
            text = window.screen_text
            assert "❯ fix the total" in text
            assert "I read it." in text
            assert "✔ edit orders.py  +1 -1" in text
            kinds = [type(each) for each in window.state.entries]
            assert kinds == [Prompted, Answer, ToolCard, ToolCard, Answer, Ended]

    asyncio.run(go())


def test_a_message_typed_while_it_works_reaches_the_model_with_its_next_turn(door: Door) -> None:
    async def go() -> None:
        gate = asyncio.Event()
        script = [Scripted("Reading.", calls=(READ,), gate=gate), Scripted("As you say.")]
        async with door.open(script) as window:
            await window.say("look at the orders")
            await window.until(lambda: window.state.running)
            await window.say("and be brief")
            assert "with the next turn: and be brief" in window.screen_text
            gate.set()
            await window.idle()
            assert [each.text for each in window.model.conversations[0].entries if each.kind == "user"][
                -1
            ] == "and be brief"
            assert "said while it was working" in window.screen_text
            assert not window.state.pending

    asyncio.run(go())


def test_escape_interrupts_and_what_was_written_stays(door: Door) -> None:
    async def go() -> None:
        gate = asyncio.Event()
        async with door.open([Scripted("first"), Scripted("never", gate=gate)]) as window:
            await window.say("one")
            await window.idle()
            await window.say("two")
            await window.until(lambda: window.state.running)
            await window.press("escape")
            await window.idle()
            ended = window.state.entries[-1]
            assert isinstance(ended, Ended)
            assert ended.how == "interrupted"
            assert [each.text for each in window.state.entries if isinstance(each, Prompted)] == ["one", "two"]

    asyncio.run(go())


def test_a_refused_edit_tells_the_model_why(door: Door) -> None:
    async def go() -> None:
        script = [Scripted("", calls=(READ,)), Scripted("", calls=(EDIT,)), Scripted("I see.")]
        async with door.open(script) as window:
            await window.say("fix it")
            await window.until(lambda: isinstance(window.app.screen, ApprovalScreen))
            await window.press("n")
            await window.press("u", "s", "e", "space", "f", "s", "u", "m", "enter")
            await window.idle()
            results = [each.text for each in window.model.conversations[0].entries if each.kind == "tool"]
            assert "use fsum" in results[-1]
            assert "+ 1" in (door.root / "orders.py").read_text()
            card = [each for each in window.state.entries if isinstance(each, ToolCard)][-1]
            assert card.state is CallState.DENIED

    asyncio.run(go())
