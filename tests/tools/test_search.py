"""The grep and glob tools: the same answers with ripgrep and without, bounded and in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.hands import Hands
from tools.files import list_files, ripgrep
from tools.globs import matcher
from tools.grep import GrepTool
from tools.registry import all_tools

FILES = {
    "src/app.py": "import os\n\n\ndef main(argv):\n    return os.getcwd()\n",
    "src/util.py": "def helper():\n    return 'main'\n",
    "docs/readme.md": "# main\n-x is a flag\n",
    "build/out.txt": "main generated\n",
    ".gitignore": "build/\n*.log\n",
    "debug.log": "main log\n",
    ".github/ci.yml": "run: main\n",
    "image.bin": b"main\0\1\2",
}


@pytest.fixture(params=["ripgrep", "python"])
def hands(request: pytest.FixtureRequest, tmp_path: Path) -> Hands:
    """Hands in a git repository; the grep tool with ripgrep, or with nothing but Python."""
    if request.param == "ripgrep" and ripgrep(tmp_path) is None:
        pytest.skip("ripgrep is not installed")
    grep = GrepTool(program="" if request.param == "python" else None)
    hands = Hands(tmp_path, (*(tool for tool in all_tools() if tool.name != "grep"), grep))
    for name, content in FILES.items():
        hands.put(name, content, read=False)
    hands.text("bash", command="git init -q .")
    return hands


def test_matches_come_as_path_line_text_in_order_of_paths(hands: Hands) -> None:
    assert hands.text("grep", pattern="main").split("\n") == [
        ".github/ci.yml:1:run: main",
        "docs/readme.md:1:# main",
        "src/app.py:4:def main(argv):",
        "src/util.py:2:    return 'main'",
    ]


def test_path_and_glob_narrow_the_search(hands: Hands) -> None:
    assert hands.text("grep", pattern="main", path="src", glob="app.*") == "src/app.py:4:def main(argv):"
    assert hands.text("grep", pattern="main", glob="docs/**") == "docs/readme.md:1:# main"
    assert hands.text("grep", pattern="main", path="src/util.py") == "src/util.py:2:    return 'main'"
    assert hands.text("grep", pattern="main", glob="*.{yml,md}").count("\n") == 1
    assert "No line" in hands.text("grep", pattern="main", glob="*.log")


def test_patterns_that_look_like_options_are_patterns(hands: Hands) -> None:
    assert hands.text("grep", pattern="-x") == "docs/readme.md:2:-x is a flag"
    assert "No line" in hands.text("grep", pattern="--files")
    assert "No line" in hands.text("grep", pattern="--pre=touch pwned")


def test_regular_expressions_work_and_broken_ones_are_taken_literally(hands: Hands) -> None:
    assert hands.text("grep", pattern=r"^def \w+\(\)") == "src/util.py:1:def helper():"
    text = hands.text("grep", pattern="main(")
    assert text.startswith("(taken literally")
    assert text.endswith("src/app.py:4:def main(argv):")


def test_many_matches_are_cut(hands: Hands) -> None:
    hands.put("many.txt", "needle\n" * 1_000, read=False)
    text = hands.text("grep", pattern="needle")
    assert text.count("needle") == 100
    assert "first 100 only" in text


def test_long_lines_are_cut(hands: Hands) -> None:
    hands.put("wide.txt", "needle" + "x" * 100_000 + "\n", read=False)
    assert len(hands.text("grep", pattern="needle")) < 1_000


def test_a_missing_path_and_an_empty_pattern_are_refused(hands: Hands) -> None:
    assert "no file or folder" in hands.refused("grep", pattern="x", path="nowhere")
    assert hands.refused("grep", pattern="")
    assert "outside" in hands.refused("grep", pattern="x", path="..")


def test_secrets_are_not_searched(hands: Hands) -> None:
    hands.put("deploy/id_ed25519", "main key\n", read=False)
    assert "key" not in hands.text("grep", pattern="main")
    assert "blocked" in hands.refused("grep", pattern="main", path="deploy/id_ed25519")


def test_a_search_that_would_take_for_ever_is_ended(tmp_path: Path) -> None:
    hands = Hands(tmp_path, (GrepTool(program=""),))
    (tmp_path / "trap.txt").write_text("x" * 5_000 + "\n")
    hands.stop = True  # the user cancels
    assert "took longer" in hands.refused("grep", pattern="(x+x+)+y")


def test_glob_lists_files_in_order(hands: Hands) -> None:
    assert hands.text("glob", pattern="**/*.py") == "src/app.py\nsrc/util.py"
    assert hands.text("glob", pattern="*.py") == "src/app.py\nsrc/util.py"
    assert hands.text("glob", pattern="src") == "src/app.py\nsrc/util.py"
    assert hands.text("glob", pattern=f"{hands.root}/docs/*") == "docs/readme.md"
    assert "debug.log" not in hands.text("glob", pattern="**")
    assert "No file fits" in hands.text("glob", pattern="*.rs")


def test_glob_is_bounded(hands: Hands) -> None:
    for number in range(250):
        (hands.root / f"f{number:03}.txt").touch()
    text = hands.text("glob", pattern="f*.txt")
    assert text.count("\n") == 200
    assert "and 50 more" in text


def test_impossible_glob_patterns_are_refused(hands: Hands) -> None:
    for pattern in ("", "x" * 1_000, "*" * 100, "[z-a]"):
        assert "pattern" in hands.refused("glob", pattern=pattern)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("*.py", ["a.py", "x/a.py"], ["a.pyc", "a.py/b"]),
        ("src/*.py", ["src/a.py"], ["src/x/a.py", "a.py"]),
        ("src/**/*.py", ["src/a.py", "src/x/y/a.py"], ["a.py", "src/a.md"]),
        ("**/test_?.py", ["test_a.py", "x/test_b.py"], ["test_ab.py"]),
        ("*.{js,ts}", ["a.js", "x/a.ts"], ["a.jsx", "a.{js,ts}"]),
        ("[!a]*.c", ["b.c"], ["a.c"]),
        ("a[", ["a["], ["a"]),
        ("docs/", ["docs/a", "docs/x/b"], ["docs"]),
        ("./a+b(c).txt", ["a+b(c).txt"], ["aab(c).txt"]),
    ],
)
def test_glob_patterns_mean_what_they_usually_mean(pattern: str, fitting: list[str], others: list[str]) -> None:
    fits = matcher(pattern)
    assert [path for path in fitting + others if fits(path)] == fitting


def test_files_are_the_same_by_ripgrep_and_by_git(hands: Hands) -> None:
    by_git = list_files(hands.root, program="")
    assert list_files(hands.root) == by_git
    assert "build/out.txt" not in by_git


def test_without_git_and_ripgrep_well_known_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("node_modules/a.js", "src/a.js", "__pycache__/x.pyc"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert list_files(tmp_path, program="") == ["src/a.js"]
