"""What goes wrong in the world, and starts that are not like every day's: sentences, and a window that goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.assembly import Talk
from agent.errors import ModelError
from agent.model import Model
from agent.models.progress import Progress
from agent.setup import Setup
from inference.errors import EngineClosed
from tests.fakes.scripted_model import Call, Scripted, ScriptedModel
from tests.tui.windows import Door, Window
from tui.screens.picker import PickerScreen
from tui.screens.question import QuestionScreen
from tui.view_state import CallState, Prompted, ToolCard

READ = Call("read", {"path": "orders.py"})


async def on(window: Window, screen: type[object]) -> None:
    """Until such a screen is there and drawn."""
    await window.until(lambda: isinstance(window.app.screen, screen) and bool(window.screen_text.strip()))


def test_an_engine_that_dies_in_the_middle_is_a_sentence_and_the_next_message_is_tried(door: Door) -> None:
    async def go() -> None:
        gone = EngineClosed("The engine has ended; the next message starts it again.")
        async with door.open([Scripted("half an ans", raises=gone), Scripted("whole again")]) as window:
            await window.say("go")
            await window.idle()
            assert "The engine has ended" in window.screen_text
            assert "ended by an error" in window.screen_text
            assert "half an ans" in window.screen_text
            await window.say("again")
            await window.idle()
            assert "whole again" in window.screen_text
            kept = [each.text for each in window.state.entries if isinstance(each, Prompted)]
        async with door.open([], "-c") as window:
            assert [each.text for each in window.state.entries if isinstance(each, Prompted)] == kept == ["go", "again"]

    asyncio.run(go())


def test_a_model_file_that_is_gone_is_named_and_the_next_message_offers_others(door: Door) -> None:
    model = ScriptedModel([Scripted("here I am")])
    asked: list[str | None] = []

    async def opener(setup: Setup, _talk: Talk) -> Model:
        asked.append(setup.config.model)
        if len(asked) == 1:
            raise ModelError("/models/gone.gguf is not there any more; `agent models pull` fetches one.")
        return model

    async def go() -> None:
        async with door.show(door.host(model, "--model", "gone", opener=opener), model) as window:
            await window.until(lambda: "/models/gone.gguf is not there any more" in window.screen_text)
            await window.say("are you there?")
            await on(window, PickerScreen)
            await window.press("0", ".", "5", "b", "enter")
            await window.until(lambda: model.responses_left == 0)
            await window.idle()
            assert asked == ["gone", "qwen2.5-coder-0.5b"]
            assert "here I am" in window.screen_text

    asyncio.run(go())


def test_the_first_start_offers_models_with_what_fits_and_shows_the_fetching(
    door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GEMMA_AGENT_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))

    async def go(size: tuple[int, int]) -> None:
        fetched, model = asyncio.Event(), ScriptedModel([])

        async def opener(_setup: Setup, talk: Talk) -> Model:
            def fetch() -> None:
                talk.say("Fetching from the hub.")
                talk.progress(Progress("model.gguf", 250_000_000, 1_000_000_000, 5e6, 150.0))

            await asyncio.to_thread(fetch)
            await fetched.wait()
            return model

        async with door.show(door.host(model, opener=opener), model, size) as window:
            await on(window, PickerScreen)
            await window.until(lambda: "Esc leaves" in window.screen_text)
            await window.press("e", "2", "b")  # a low list shows what suits this machine's memory, wherever that is
            await window.until(lambda: any("Gemma 4 E2B" in row for row in window.rows))
            rows = [row for row in window.rows if "Gemma 4 E2B" in row]
            assert len(rows) == 1, "a model takes one line"
            assert "2.8 GB" in rows[0]
            assert "fit" in rows[0] or "too big" in rows[0]
            await window.press("enter")
            await window.until(lambda: "250 MB of 1.0 GB" in window.screen_text)
            assert "25%" in window.screen_text or size[0] < 100
            assert "Fetching from the hub." in window.screen_text
            await window.type("typed meanwhile")
            assert "typed meanwhile" in window.screen_text
            fetched.set()
            await window.until(lambda: window.app.conductor.session is not None)

    asyncio.run(go((100, 30)))
    asyncio.run(go((60, 16)))


def test_without_a_model_the_next_message_asks_for_one_and_is_kept(
    door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GEMMA_AGENT_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    model = ScriptedModel([Scripted("an answer")])

    async def opener(_setup: Setup, _talk: Talk) -> Model:
        return model

    async def go() -> None:
        async with door.show(door.host(model, opener=opener), model) as window:
            await on(window, PickerScreen)
            await window.press("escape")
            assert "No model is loaded; /model chooses one." in window.screen_text
            await window.say("hello")
            await on(window, PickerScreen)
            await window.press("enter")
            await window.until(lambda: model.responses_left == 0)
            await window.idle()
            assert "an answer" in window.screen_text

    asyncio.run(go())


@pytest.mark.parametrize(("answer", "counts"), [("y", True), ("n", False), ("escape", False)])
def test_a_repository_with_settings_of_its_own_is_trusted_only_after_the_question(
    door: Door, answer: str, counts: bool
) -> None:
    settings = door.root / ".agent" / "config.toml"
    settings.parent.mkdir()
    settings.write_text('mode = "accept-edits"\n', encoding="utf-8")

    async def go() -> None:
        async with door.open([], trusted=False) as window:
            await on(window, QuestionScreen)
            assert "Do you trust this folder?" in window.screen_text
            assert "accept-edits" in window.screen_text
            await window.press(answer)
            await window.until(lambda: window.app.conductor.session is not None)
            assert window.state.status.mode == ("accept-edits" if counts else "default")

    asyncio.run(go())


def test_a_click_unfolds_a_card_the_wheel_scrolls_and_a_choice_can_be_clicked(door: Door) -> None:
    long = Call("bash", {"command": "seq 1 300"})

    async def go() -> None:
        async with door.open([Scripted("", calls=(READ, long)), Scripted("done")]) as window:
            await window.say("look")
            await window.idle()
            card = next(at for at, row in enumerate(window.rows) if "read orders.py" in row)
            await window.pilot.click("#transcript", offset=(5, card))
            await window.settle()
            assert "return sum(prices) + 1" in window.screen_text

            await window.press("ctrl+o")
            view = window.app.main.transcript
            window.app.main.transcript.to_end()
            await window.settle()
            bottom = view.scroll_y
            view.scroll_relative(y=-2, animate=False)  # what the wheel does
            await window.settle()
            assert view.scroll_y < bottom
            assert not view.following

            await window.say("/theme")
            await on(window, PickerScreen)
            await window.pilot.click("#choices", offset=(4, 1))
            await window.until(lambda: window.app.theme == "light")

    asyncio.run(go())


def test_a_terminal_that_shrinks_to_nothing_and_comes_back_shows_the_same(door: Door) -> None:
    async def go(open_dialog: Callable[[Window], object] | None) -> None:
        async with door.open([Scripted("I **read** it.", calls=(READ,)), Scripted("Done")]) as window:
            await window.say("look")
            await window.idle()
            if open_dialog is not None:
                await window.press("f1")
            before = window.screen_text
            for size in ((1, 1), (3, 2), (40, 1), (1, 40), (200, 60), (100, 30)):
                await window.pilot.resize_terminal(*size)
                await window.settle()
            assert window.screen_text == before
            assert all(each.state is CallState.DONE for each in window.state.entries if isinstance(each, ToolCard))

    asyncio.run(go(None))
    asyncio.run(go(lambda window: window))
