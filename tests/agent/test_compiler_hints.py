"""What compilers propose, and the change that comes of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.compiler_hints import compiler_hints
from agent.evidence import Sources, gather
from agent.failures import read_test_run
from agent.test_paths import is_test_path

BROKEN = """\
#include "box.h"

int total(int *values, int count) {
    int result = 0
    for (int i = 0; i < count; i++)
        result += values[i];
    printf("%d\\n", reslt);
    return result;
}

int area(struct box *b) { return b->widht * 2; }
"""
MENDED = BROKEN.replace("= 0\n", "= 0;\n").replace("reslt", "result").replace("widht", "width")
WITH_HEADER = MENDED.replace('"box.h"\n', '"box.h"\n#include <stdio.h>\n')


def proposed(root: Path, output: str) -> list[dict[str, str]]:
    sources = Sources(root, is_test_path)
    tries = compiler_hints(gather(read_test_run("make", 2, output, 0.1), sources), sources)
    for edits in tries:
        assert all(sources.text(edit.path).count(edit.old) == 1 for edit in edits)
    return [{e.path: sources.text(e.path).replace(e.old, e.new) for e in edits} for edits in tries]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no GCC here")
def test_a_file_compiles_after_everything_that_gcc_proposes_was_done(tmp_path: Path) -> None:
    (tmp_path / "box.h").write_text("struct box { int width; };\n")
    (tmp_path / "box.c").write_text(BROKEN)
    command = ["gcc", "-Wall", "-c", "box.c"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    first, *_ = proposed(tmp_path, said.stderr)
    assert first == {"box.c": WITH_HEADER}
    (tmp_path / "box.c").write_text(first["box.c"])
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize(
    ("path", "text", "output", "meant"),
    [
        (
            "a.c",
            "int f(int count) { return coutn; }\n",
            "a.c:1:27: error: use of undeclared identifier 'coutn'; did you mean 'count'?\n",
            "int f(int count) { return count; }\n",
        ),
        (
            "a.c",
            "int f(void) { return 1 }\n",
            "a.c:1:23: error: expected ';' after return statement\n",
            "int f(void) { return 1; }\n",
        ),
        (
            "a.c",
            "int f(char *s) { return strlen(s); }\n",
            "a.c:1:25: note: include the header <string.h> or explicitly provide a declaration for 'strlen'\n",
            "#include <string.h>\nint f(char *s) { return strlen(s); }\n",
        ),
        (
            "src/a.ts",
            "const result = 1;\nconsole.log(reslt);\n",
            "src/a.ts(2,13): error TS2552: Cannot find name 'reslt'. Did you mean 'result'?\n",
            "const result = 1;\nconsole.log(result);\n",
        ),
        (
            "src/a.ts",
            "const result = 1;\nconsole.log(reslt);\n",
            "src/a.ts:2:13 - error TS2552: Cannot find name 'reslt'. Did you mean 'result'?\n",
            "const result = 1;\nconsole.log(result);\n",
        ),
        (
            "a.py",
            "def f(total):\n    return totl\n",
            "  File \"a.py\", line 2, in f\nNameError: name 'totl' is not defined. Did you mean: 'total'?\n",
            "def f(total):\n    return total\n",
        ),
    ],
)  # fmt: skip
def test_messages_of_other_compilers_are_understood(
    tmp_path: Path, path: str, text: str, output: str, meant: str
) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text(text)
    assert proposed(tmp_path, output) == [{path: meant}]


def test_tests_and_files_elsewhere_and_words_that_are_not_there_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int f(int count) { return count; }\n")
    (tmp_path / "test_a.py").write_text("def test_f():\n    return totl\n")
    said = "error: use of undeclared identifier 'coutn'; did you mean 'count'?\n"
    assert (
        proposed(tmp_path, f"a.c:1:27: {said}a.c:9:1: {said}/usr/include/a.h:1:1: {said}test_a.py:2:12: {said}") == []
    )
    assert proposed(tmp_path, "everything is fine\n") == []
