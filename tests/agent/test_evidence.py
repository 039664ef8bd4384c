"""A red test run points at the code that is to be repaired."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agent.demo_files import FILES
from agent.evidence import Evidence, Sources, gather
from agent.failures import read_test_run


def evidence(root: Path, files: dict[str, str], *command: str) -> Evidence:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, *(command or ("-m", "pytest", "-q"))],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    run = read_test_run("tests", done.returncode, done.stdout, 0.0)
    return gather(run, Sources(root, lambda path: path.startswith("tests/")))


def test_a_wrong_value_points_at_the_function_that_the_failing_line_calls(tmp_path: Path) -> None:
    found = evidence(tmp_path, FILES)
    assert (found.suspects[0].path, found.suspects[0].name) == ("orders/pricing.py", "line_total")
    excerpt = found.tests[0][1]
    assert excerpt is not None
    assert "test_ten_pieces" in excerpt.text


def test_an_exception_points_at_the_frame_that_raised(tmp_path: Path) -> None:
    broken = FILES["orders/money.py"].replace("cents // 100", "cent // 100")
    found = evidence(tmp_path, FILES | {"orders/money.py": broken}, "-m", "unittest")
    names = [suspect.name for suspect in found.suspects]
    assert "show" in names[:2]


def test_a_syntax_error_points_at_its_file(tmp_path: Path) -> None:
    found = evidence(tmp_path, FILES | {"orders/pricing.py": "x = 1\n\ndef line_total(line:\n    return 1\n"})
    assert found.suspects[0].path == "orders/pricing.py"


def test_a_function_that_is_passed_to_a_checker_is_a_suspect(tmp_path: Path) -> None:
    files = {
        "solution.py": "def double(x):\n    return x + 2\n",
        "tests/test_it.py": "from solution import double\n\n\ndef check(candidate):\n    assert candidate(3) == 6\n\n\n"
        "def test_double():\n    check(double)\n",
        "conftest.py": "",
    }
    found = evidence(tmp_path, files)
    assert found.suspects[0].name == "double"


def test_a_function_behind_the_called_one_is_a_suspect_too(tmp_path: Path) -> None:
    files = {
        "app.py": "from core import helper\n\n\ndef run(x):\n    return helper(x)\n",
        "core.py": "def helper(x):\n    return x - 1\n",
        "tests/test_it.py": "from app import run\n\n\ndef test_run():\n    assert run(1) == 2\n",
        "conftest.py": "",
    }
    found = evidence(tmp_path, files)
    assert [suspect.name for suspect in found.suspects][:2] == ["run", "helper"]
