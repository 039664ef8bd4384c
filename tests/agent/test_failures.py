"""Test output of real runners is read for counts, names, reasons and places."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.demo_files import FILES
from agent.failures import TestRun, read_test_run


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(root: Path, *command: str) -> TestRun:
    done = subprocess.run(
        [sys.executable, *command], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return read_test_run(" ".join(command), done.returncode, done.stdout, 0.0)


@pytest.mark.parametrize("runner", [("-m", "pytest", "-q"), ("-m", "pytest", "-q", "--tb=short"), ("-m", "unittest")])
def test_counts_names_reasons_and_places_of_the_demo(tmp_path: Path, runner: tuple[str, ...]) -> None:
    write(tmp_path, FILES)
    result = run(tmp_path, *runner)
    assert (result.green, result.failed, result.passed) == (False, 2, 6)
    first, second = result.failures
    assert first.name == "test_ten_pieces_get_the_bulk_discount"
    assert "2000 != 1800" in first.reason
    assert first.places[-1].path.endswith("tests/test_pricing.py")
    assert first.places[-1].line == 11
    assert second.name == "test_a_receipt_shows_lines_and_total"


@pytest.mark.parametrize("runner", [("-m", "pytest", "-q"), ("-m", "pytest", "-q", "--tb=native"), ("-m", "unittest")])
def test_a_traceback_names_the_frame_that_raised(tmp_path: Path, runner: tuple[str, ...]) -> None:
    broken = FILES["orders/money.py"].replace("int(whole)", "int(hole)")
    write(tmp_path, FILES | {"orders/money.py": broken})
    failures = {failure.name: failure for failure in run(tmp_path, *runner).failures}
    failure = failures["test_parse_reads_whole_and_fraction"]
    assert "NameError: name 'hole' is not defined" in failure.reason
    assert failure.places[-1].path.endswith("orders/money.py")
    assert failure.places[-1].line == 7


def test_a_syntax_error_while_collecting_is_a_failure_with_its_place(tmp_path: Path) -> None:
    write(tmp_path, FILES | {"orders/pricing.py": "def line_total(line:\n    return 1\n"})
    result = run(tmp_path, "-m", "pytest", "-q")
    assert not result.green
    assert any(place.path.endswith("orders/pricing.py") for failure in result.failures for place in failure.places)
    assert any("SyntaxError" in failure.text for failure in result.failures)


def test_green_and_empty_runs_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, {"test_one.py": "def test_one():\n    assert True\n"})
    green = run(tmp_path, "-m", "pytest", "-q")
    assert green.green
    assert not green.collected_nothing
    empty = run(tmp_path, "-m", "pytest", "-q", "-k", "nothing_like_this")
    assert empty.collected_nothing
    none = tmp_path / "empty"
    none.mkdir()
    assert run(none, "-m", "pytest", "-q").collected_nothing
    assert run(none, "-m", "unittest").collected_nothing


def test_an_unknown_runner_gives_its_last_lines_and_places() -> None:
    output = "compiling\nsrc/lib.rs:12:5: error[E0425]: cannot find value `x`\nerror: could not compile\n"
    result = read_test_run("cargo test", 101, output, 1.0)
    assert [(place.path, place.line) for place in result.failures[0].places] == [("src/lib.rs", 12)]
    assert result.summary == "exit code 101"


NODE_TEST = """\
import assert from "node:assert";
import { describe, test } from "node:test";
import { merge } from "../src/merge.js";

describe("merge", () => {
  test("touching is one", () => {
    assert.deepStrictEqual(merge([[1, 3], [3, 5]]), [[1, 5]]);
  });
  test("nothing stays nothing", () => {
    assert.deepStrictEqual(merge([]), []);
  });
});
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="it reads what a real node prints, and none is installed")
@pytest.mark.parametrize("reporter", ["tap", "spec"])
def test_nodes_own_runner_is_understood_whatever_its_reporter(tmp_path: Path, reporter: str) -> None:
    for name, text in (("src/merge.js", "export const merge = (all) => all;\n"), ("test/merge.test.js", NODE_TEST)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    command = ["node", "--test", f"--test-reporter={reporter}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    run = read_test_run("node --test", done.returncode, done.stdout, 0.1)
    assert (run.passed, run.failed) == (1, 1)
    [failure] = run.failures
    assert failure.name == "touching is one"
    assert "Expected values to be strictly deep-equal" in failure.reason
    assert any(place.path.endswith("test/merge.test.js") and place.line == 7 for place in failure.places)
