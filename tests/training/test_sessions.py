"""Recorded sessions: what the product sends, and right answers to it."""

from __future__ import annotations

import itertools
import random
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from inference.backend.llama_tokenizer import LlamaCppTokenizer
from tests.constructed_gemma4 import small_vocabulary
from training.bugs import Bug
from training.cut import open_tokenizer, write_vocabulary
from training.drills import Writer, drills, repeats, texts
from training.quotations import shortened
from training.repositories import lay_out
from training.runner import Runner
from training.samples import Sample, read_samples, write_samples
from training.sessions import FirstAnswers, Manner, record
from training.slips import Slip, slip
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
    return [text_of(sample.ids[start:end], tokenizer) for start, end in sample.said]


def quoted(bug: Bug) -> tuple[str, str]:
    return shortened(bug.repair(), bug.text)


@pytest.mark.parametrize("thinks", [False, True])
def test_a_session_with_tools_changes_and_tells(
    specimen: Specimen, bug: Bug, tokenizer: LlamaCppTokenizer, runner: Runner, tmp_path: Path, thinks: bool
) -> None:
    sample = record(lay_out(specimen, bug, tmp_path, 0), tokenizer, runner, Manner(thinks=thinks))
    assert sample is not None
    mend, tell = said(sample, tokenizer)
    old, new = quoted(bug)
    assert mend.endswith("<|tool_response>")
    assert f'find:<|"|>{old}<|"|>,replace:<|"|>{new}<|"|>' in mend
    assert ("The mistake is in this line" in mend) is thinks
    assert tell == "Corrected.<turn|>"
    assert 0 < sample.static < sample.said[0][0]
    whole = text_of(sample.ids, tokenizer)
    assert whole.startswith("<bos><|turn>system\n")
    assert "declaration:edit{" in whole
    assert "assert " + specimen.examples[0][0].split("(")[0] in whole
    assert "Edited " in whole
    assert sample.kind == "wrong_comparison"


@pytest.mark.parametrize("refused", [False, True])
def test_what_is_gone_on_from_is_not_learnt(
    specimen: Specimen, bug: Bug, tokenizer: LlamaCppTokenizer, runner: Runner, tmp_path: Path, refused: bool
) -> None:
    old, _ = bug.repair()
    wrong = Slip((old, old), refused)
    if not refused:
        found = [slip(specimen, bug, random.Random(seed)) for seed in range(20)]
        wrong = next(each for each in found if each and not each.refused)
    sample = record(lay_out(specimen, bug, tmp_path, 0), tokenizer, runner, slip=wrong)
    assert sample is not None
    whole, learnt = text_of(sample.ids, tokenizer), said(sample, tokenizer)
    wrongly = wrong.pair if refused else shortened(wrong.pair, bug.text)
    call = f'find:<|"|>{wrongly[0]}<|"|>,replace:<|"|>{wrongly[1]}<|"|>'
    assert call in whole
    assert call not in "".join(learnt)
    assert ("nothing would change" in whole) is refused
    assert ("still fails" in whole) is not refused
    assert "find:" in learnt[-2]
    assert f'replace:<|"|>{quoted(bug)[1]}<|"|>' in learnt[-2] or not refused


def test_the_first_answer_alone_is_the_one_of_a_whole_session(
    specimen: Specimen, bug: Bug, tokenizer: LlamaCppTokenizer, runner: Runner, tmp_path: Path
) -> None:
    case = lay_out(specimen, bug, tmp_path, 0)
    first = record(case, tokenizer, runner)
    assert first is not None
    (tmp_path / case.path).write_text(bug.text)
    alone = FirstAnswers(tokenizer, first.ids[: first.static]).record(case, runner)
    assert alone is not None
    assert alone.ids == first.ids[: first.said[0][1]]
    assert alone.said == first.said[:1]


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


def text_of(ids: Sequence[int], tokenizer: LlamaCppTokenizer) -> str:
    return b"".join(map(tokenizer.piece, ids)).decode()


def test_a_session_whose_answer_cannot_be_seen_is_none(
    specimen: Specimen, bug: Bug, tokenizer: LlamaCppTokenizer, runner: Runner, tmp_path: Path
) -> None:
    case = lay_out(specimen, bug, tmp_path, 0)
    elsewhere = replace(bug, text=bug.text + "unseen = 0\n" * 2, start=len(bug.text), end=len(bug.text) + 6)
    assert record(replace(case, bug=elsewhere), tokenizer, runner) is None


def test_drills_say_what_their_question_holds(tokenizer: LlamaCppTokenizer) -> None:
    found = list(drills(SOURCE, Writer(tokenizer), 0))
    assert "drill several" in {sample.kind for sample in found}
    for sample in found:
        (answer,) = said(sample, tokenizer)
        question = text_of(sample.ids[: sample.said[0][0]], tokenizer)
        olds = [piece.split("<|")[0] for piece in answer.split('find:<|"|>')[1:]]
        assert olds
        assert len(olds) > 1 or sample.kind != "drill several"
        code = question.split("```python\n")[1].split("\n```")[0]
        for old, new in zip(olds, (piece.split("<|")[0] for piece in answer.split('replace:<|"|>')[1:]), strict=True):
            assert code.count(old) == 1
            code = code.replace(old, new)
        assert code in SOURCE.path.read_text()


def test_what_is_said_in_repeats_was_there_before(tokenizer: LlamaCppTokenizer) -> None:
    found = list(repeats(SOURCE, Writer(tokenizer), 0))
    assert found
    for sample in found:
        ((start, end),) = sample.said
        assert set(sample.ids[start:end]) <= set(sample.ids[1:start])
        pairs = list(itertools.pairwise(sample.ids[1:start]))
        again = [pair in pairs for pair in itertools.pairwise(sample.ids[start:end])]
        assert sum(again) > 0.8 * len(again)


def test_texts_are_the_file_in_pieces(tokenizer: LlamaCppTokenizer) -> None:
    pieces = list(texts(SOURCE, Writer(tokenizer)))
    joined = b"".join(tokenizer.piece(token) for piece in pieces for token in piece.ids[1:]).decode()
    assert SOURCE.path.read_text().startswith(joined[:2000])
    assert all(piece.ids[0] == 2 for piece in pieces)
