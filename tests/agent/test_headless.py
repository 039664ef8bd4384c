"""One prompt, one answer: exit codes and answers that must be JSON."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from agent.headless import Ended, Job, Screen, answer
from agent.json_answer import JsonSchema
from agent.live_view import LiveView
from agent.messages import StopReason
from agent.output import OutputFormat, make_writer
from agent.run import Limits, RunOptions
from inference.errors import DecodeFailed
from tests.fakes.scripted_model import Call, Script, Scripted, ScriptedModel
from tests.fakes.sessions import FakeTool, Stage

SCHEMA = JsonSchema({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
NOTE = Call("note", {"text": "x"})


def ask(
    root: Path, script: list[Script], job: Job | None = None, output: OutputFormat = OutputFormat.TEXT
) -> tuple[Ended, ScriptedModel, str]:
    model, stream = ScriptedModel(script), io.StringIO()
    view = LiveView(Console(file=io.StringIO()), answers=False)
    screen = Screen(view, make_writer(output, stream))
    session = Stage(root, [FakeTool()]).session(model)
    ended = asyncio.run(answer(session, job or Job("go", RunOptions()), screen))
    screen.writer.finish(ended.outcome)
    return ended, model, stream.getvalue()


@pytest.mark.parametrize(
    ("script", "limits", "code", "subtype"),
    [
        ([Scripted("yes")], Limits(), 0, "success"),
        ([Scripted(calls=(NOTE,))], Limits(turns=1), 1, "error_max_turns"),
        ([Scripted("ha", stop_reason=StopReason.REPETITION)], Limits(), 1, "error_repetition"),
        ([Scripted("ha", stop_reason=StopReason.LENGTH)], Limits(), 1, "error_max_turns"),
        ([Scripted("", raises=DecodeFailed("broken."))], Limits(), 2, "error_during_execution"),
        ([Scripted("late", gate=asyncio.Event())], Limits(seconds=0.05), 2, "error_max_turns"),
    ],
)
def test_how_a_run_ended_is_the_exit_code(
    tmp_path: Path, script: list[Script], limits: Limits, code: int, subtype: str
) -> None:
    ended, _, _ = ask(tmp_path, script, Job("go", RunOptions(limits)))
    assert (ended.exit_code, ended.outcome.subtype) == (code, subtype)
    assert ended.outcome.is_error is (code != 0)


def test_text_is_the_answer_alone(tmp_path: Path) -> None:
    _, _, text = ask(tmp_path, [Scripted("I look.", calls=(NOTE,)), Scripted("The \x1b[31manswer.\n")])
    assert text == "The answer.\n"


def test_json_is_one_object(tmp_path: Path) -> None:
    _, _, text = ask(tmp_path, [Scripted("ok", calls=(NOTE,)), Scripted("Done.")], output=OutputFormat.JSON)
    result = json.loads(text)
    assert (result["type"], result["result"], result["num_turns"]) == ("result", "Done.", 2)
    assert set(result["stats"]) == {
        "cached_tokens",
        "loaded_tokens",
        "prefilled_tokens",
        "prefill_ms",
        "decode_tps",
        "drafted",
        "accepted",
        "drafters",
    }


@pytest.mark.parametrize(
    "said",
    ['{"n": 3}', '```json\n{"n": 3}\n```', 'Here it is: {"n": 3}. Bye {x}', ' {"n":\n3} '],
)
def test_an_answer_that_fits_its_schema_is_given_as_json(tmp_path: Path, said: str) -> None:
    ended, _, text = ask(tmp_path, [Scripted(said)], Job("count", RunOptions(), SCHEMA))
    assert ended.exit_code == 0
    assert json.loads(text) == {"n": 3}
    assert ended.outcome.extra == {"structured_output": {"n": 3}}


def test_an_answer_that_does_not_fit_is_asked_for_once_more_with_the_reason(tmp_path: Path) -> None:
    ended, model, _ = ask(
        tmp_path, [Scripted('{"n": "three"}'), Scripted('{"n": 3}')], Job("count", RunOptions(), SCHEMA)
    )
    assert ended.exit_code == 0
    told = [entry.text for entry in model.conversations[0].entries if entry.kind == "user"]
    assert '"required": ["n"]' in told[0]
    assert "n: 'three' is not of type 'integer'" in told[1]


def test_an_answer_that_never_fits_is_not_achieved(tmp_path: Path) -> None:
    ended, _, _ = ask(tmp_path, [Scripted("no"), Scripted("never")], Job("count", RunOptions(), SCHEMA))
    assert (ended.exit_code, ended.outcome.subtype) == (1, "error_schema")
