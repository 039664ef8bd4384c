"""Every word that a model reads: present, filled in, and few enough."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from agent.approvals import Approvals
from agent.context import system_prompt
from agent.journal import Journal
from agent.model.local import LocalModel
from agent.permissions import Mode, Rules
from agent.toolset import Surroundings, Toolset
from inference.tokenizer import Tokenizer
from prompts import load
from tests.fakes.fake_engine import ScriptedEngine
from tests.fakes.vocabulary import gemma_vocabulary, qwen_vocabulary
from tools.registry import tools_for
from tools.workspace import Workspace

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path.relative_to(ROOT / "prompts").with_suffix("").as_posix() for path in (ROOT / "prompts").rglob("*.md")
)
BUDGET = 2000


def first_tokens(tokenizer: Tokenizer, architecture: str, folder: Path, *, small: bool) -> int:
    """Tokens of system prompt and tools, as the model reads them."""
    workspace = Workspace(folder)
    surroundings = Surroundings(workspace, Journal(None, "s", workspace))
    toolset = Toolset(tools_for(small), Approvals(Mode.DEFAULT, Rules(), interactive=False), surroundings)
    model = LocalModel(ScriptedEngine([], tokenizer, architecture=architecture))
    asyncio.run(model.start())
    return model.open(system_prompt(), toolset.specs()).token_count


def test_system_prompt_and_all_tools_fit_into_their_budget_for_gemma(tmp_path: Path) -> None:
    count = first_tokens(gemma_vocabulary(), "gemma4", tmp_path, small=False)
    assert 300 < count <= BUDGET


def test_system_prompt_and_all_tools_fit_into_their_budget_for_qwen(tmp_path: Path) -> None:
    count = first_tokens(qwen_vocabulary(), "qwen2", tmp_path, small=False)
    assert 300 < count <= BUDGET


def test_a_small_model_reads_less(tmp_path: Path) -> None:
    vocabulary = gemma_vocabulary()
    few = first_tokens(vocabulary, "gemma4", tmp_path, small=True)
    assert few < first_tokens(vocabulary, "gemma4", tmp_path, small=False) - 200


def test_a_missing_prompt_or_value_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        load("no_such_prompt")
    with pytest.raises(KeyError):
        load("environment", date="today")


@pytest.mark.parametrize("name", FILES)
def test_every_prompt_is_used_by_the_program(name: str) -> None:
    source = "\n".join(path.read_text() for part in ("agent", "tools", "tui") for path in (ROOT / part).rglob("*.py"))
    folder, _, last = name.rpartition("/")
    written = [f'"{name}"', f"'{name}'", f'load("{name}', f'load(f"{folder}/' if folder else "\0", f'"{last}"']
    assert any(each in source for each in written), f"prompts/{name}.md is never loaded"


@pytest.mark.parametrize("name", FILES)
def test_values_of_a_prompt_have_plain_names(name: str) -> None:
    text = (ROOT / f"prompts/{name}.md").read_text(encoding="utf-8")
    for value in re.findall(r"(?<!\$)\$\{?([^}\s]*)", text):
        assert re.fullmatch(r"[a-z_]+", value), f"{name}: ${value}"


def test_foreign_text_in_a_value_is_not_filled_in_again() -> None:
    assert "${date} $$" in load("piped", text="${date} $$")
