"""Recorded sessions: what the product sends, and right answers to it."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.backend.llama_tokenizer import LlamaCppTokenizer
from tests.constructed_gemma4 import small_vocabulary
from training.bugs import Bug
from training.cut import open_tokenizer, write_vocabulary
from training.drills import Writer, drills, texts
from training.repositories import lay_out
from training.runner import Runner
from training.samples import Sample, read_samples, write_samples
from training.sessions import Manner, record
from training.sources import Source
from training.specimens import Specimen, broken, specimens
from training.vocabulary import Vocabulary

SOURCE = Source("python", "colorsys.py", Path(sysconfig.get_path("stdlib")) / "colorsys.py")


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as started:
        yield started


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppTokenizer]:
    made = small_vocabulary()
    tokens, merges = ([each.decode() for each in part] for part in (made.tokens, made.merges))
    path = tmp_path_factory.mktemp("vocabulary") / "ascii.gguf"
    write_vocabulary(path, Vocabulary(tuple(tokens), tuple(made.types), tuple(merges)))
    with open_tokenizer(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def specimen(runner: Runner) -> Specimen:
    return next(specimens(SOURCE, runner, 0))


@pytest.fixture(scope="module")
def bug(specimen: Specimen, runner: Runner) -> Bug:
    return next(broken(specimen, runner, 0, ("wrong_comparison",)))


def said(sample: Sample, tokenizer: LlamaCppTokenizer) -> list[str]:
    return [b"".join(map(tokenizer.piece, sample.ids[start:end])).decode() for start, end in sample.said]


@pytest.mark.parametrize("thinks", [False, True])
def test_a_session_with_tools_looks_changes_and_tells(
    specimen: Specimen, bug: Bug, tokenizer: LlamaCppTokenizer, runner: Runner, tmp_path: Path, thinks: bool
) -> None:
    sample = record(lay_out(specimen, bug, tmp_path, 0), tokenizer, runner, Manner(thinks=thinks))
    assert sample is not None
    look, mend, tell = said(sample, tokenizer)
    old, new = bug.repair()
    assert "call:read{" in look
    assert look.endswith("<|tool_response>")
    assert f'new:<|"|>{new}<|"|>,old:<|"|>{old}<|"|>' in mend
    assert ("The mistake is in this line" in mend) is thinks
    assert tell.endswith("<turn|>")
    assert 0 < sample.static < sample.said[0][0]
    whole = b"".join(map(tokenizer.piece, sample.ids)).decode()
    assert whole.startswith("<bos><|turn>system\n")
    assert "declaration:edit{" in whole
    assert "assert " + specimen.examples[0][0].split("(")[0] in whole
    assert "Edited " in whole
    assert sample.kind == "wrong_comparison"


def test_a_direct_session_writes_the_body_behind_the_head(
    specimen: Specimen, bug: Bug, tokenizer: LlamaCppTokenizer, runner: Runner, tmp_path: Path
) -> None:
    sample = record(lay_out(specimen, bug, tmp_path, 0), tokenizer, runner, Manner(direct=True))
    assert sample is not None
    (answer,) = said(sample, tokenizer)
    assert answer.endswith("\n```<turn|>")
    assert bug.right in answer
    assert specimen.written().endswith(answer.removesuffix("\n```<turn|>"))


def test_samples_come_back_as_they_were_and_half_a_line_does_not(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    samples = [Sample((2, 5, 500), ((1, 3),), "text", "python/a.py", 1, held_out=True), Sample((2,), (), "drill x")]
    assert write_samples(path, samples) == 2
    with path.open("a") as file:
        file.write('{"said":[')
    assert list(read_samples(path)) == samples
    assert write_samples(path, samples[:1]) == 1
    assert list(read_samples(path)) == [*samples, samples[0]]
    assert samples[0].mask.tolist() == [False, True, True]


def test_drills_say_what_their_question_holds(tokenizer: LlamaCppTokenizer) -> None:
    found = list(drills(SOURCE, Writer(tokenizer), 0))
    assert {sample.kind for sample in found} == {"drill copying", "drill editing", "drill finding"}
    for sample in found:
        (answer,) = said(sample, tokenizer)
        old = answer.split('old:<|"|>')[1].split("<|")[0]
        question = b"".join(map(tokenizer.piece, sample.ids[: sample.said[0][0]])).decode()
        assert old in question
        if sample.kind == "drill copying":
            assert answer.split('new:<|"|>')[1].split("<|")[0] in question


def test_texts_are_the_file_in_pieces(tokenizer: LlamaCppTokenizer) -> None:
    pieces = list(texts(SOURCE, Writer(tokenizer)))
    joined = b"".join(tokenizer.piece(token) for piece in pieces for token in piece.ids[1:]).decode()
    assert SOURCE.path.read_text().startswith(joined[:2000])
    assert all(piece.ids[0] == 2 for piece in pieces)
