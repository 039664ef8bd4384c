"""What is kept of a model and a machine between two starts, and what becomes of a damaged file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference.acceptance import Acceptance, Grounds
from inference.controller import Knowledge
from inference.draft_costs import DraftCosts
from inference.prefix_cache import PrefixCache
from inference.request import Request
from inference.speculation import make_controller, read_knowledge, write_knowledge
from inference.step_costs import StepCosts
from inference.worker import Worker
from tests.fakes.ledger_backend import LedgerBackend, LedgerShape


def learned() -> Knowledge:
    acceptance = Acceptance()
    for right in (True, True, True, False):
        acceptance.note("prose", Grounds.of("copy", "match", 9), right)
    drafting = DraftCosts()
    drafting.note("mtp", 1, 1, 2.0)
    drafting.note("mtp", 3, 3, 5.0)
    return Knowledge(StepCosts({1: 42.0, 2: 68.0, 16: 336.0}), acceptance, drafting)


def test_what_was_learned_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "speculation/model.json"
    before = learned()
    write_knowledge(path, before)
    after = read_knowledge(path)
    assert after.steps.measured() == before.steps.measured()
    assert after.acceptance.dump() == before.acceptance.dump()
    for count in (1, 2, 8):
        assert after.drafting.expected("mtp", count) == pytest.approx(before.drafting.expected("mtp", count))
    assert [file.name for file in path.parent.iterdir()] == ["model.json"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 1}',
        '{"version": 99, "step_ms": {}, "acceptance": {}, "draft_ms": {}}',
        '{"version": 1, "step_ms": {"one": 3}, "acceptance": {}, "draft_ms": {}}',
        '{"version": 1, "step_ms": {"1": "42"}, "acceptance": {}, "draft_ms": {}}',
        '{"version": 1, "step_ms": {"1": Infinity}, "acceptance": {}, "draft_ms": {}}',
        '{"version": 1, "step_ms": {"1": 42}, "acceptance": {"copy/match/9": [1, 2, 3]}, "draft_ms": {}}',
        '{"version": 1, "step_ms": {"1": 42}, "acceptance": {"copy/match/9": 5}, "draft_ms": {}}',
    ],
)
def test_a_damaged_file_is_a_new_start(tmp_path: Path, content: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(content, "utf-8")
    knowledge = read_knowledge(path)
    assert not knowledge.steps.known
    assert not knowledge.acceptance.tallies


def test_every_cut_of_a_file_is_read_or_a_new_start(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    write_knowledge(path, learned())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert not read_knowledge(path).steps.known


def test_a_folder_that_cannot_be_written_loses_nothing_but_the_learning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    write_knowledge(tmp_path / "file/model.json", learned())
    assert (tmp_path / "file").read_text() == "in the way"


def test_each_request_leaves_what_it_taught(tmp_path: Path) -> None:
    backend = LedgerBackend(LedgerShape(n_vocab=4))  # so few ids that something repeats
    worker = Worker(backend, PrefixCache(backend), make_controller(backend, tmp_path))
    list(worker.serve(Request("a", (1, 2, 3, 1, 2), 60), lambda: False))
    (file,) = tmp_path.iterdir()
    kept = json.loads(file.read_text())
    assert set(kept["step_ms"]) == {"1", "2", "3", "4", "6", "8", "12", "16"}
    assert any(key.startswith("copy/match/") for key in kept["acceptance"])


def test_without_a_folder_nothing_is_kept_and_everything_works() -> None:
    backend = LedgerBackend()
    worker = Worker(backend, PrefixCache(backend), make_controller(backend, None))
    assert list(worker.serve(Request("a", (5, 6, 7, 5, 6), 5), lambda: False))
