"""What is judged to be read-only is given to a real shell, whose programs only write down that they were started."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.commands import Risk, assess
from agent.readonly import reads_only
from agent.shell import SimpleCommand, Word

BASH = shutil.which("bash")
PROGRAMS = ["ls", "cat", "find", "git", "sort", "rm", "evil", "sed", "uniq", "rg"]
PIECES = [
    *PROGRAMS, "echo", "cd", "true", "test", "-delete", "--output=x", "-o", "log", "status", "-n", "1,5p", "a", "b.txt",
    " ", " ", " ", " ", "  ", "\n", "\n", ";", "&", "&&", "|", "||", ">", "<", ">>", "2>", ">&", "&>", "<<E", "\nE\n",
    "<<<", "/dev/null", "1", "'", "'", '"', '"', "`", "$(", ")", "(", "{", "}", "[", "]", "[[", "]]", "\\", "\\\n",
    "#", "$", "${", "$'", "=", "x=", "!", "*", "?", "~", "-", "--", "\t", "\r", "é", "<(", ">(", "$((", "))", "if",
    "then", "fi", "\v", "\f", "\N{NO-BREAK SPACE}",
]  # fmt: skip


def _line(draw: random.Random) -> str:
    if draw.random() < 0.5:
        return "".join(draw.choice(PIECES) for _ in range(draw.randrange(2, 12)))
    # Nearer to what is allowed: a harmless command, and one or two pieces somewhere in it.
    line = draw.choice(
        ["ls -l a", "cat a | sort", "git log", "find . -n a", "echo 'a b' && ls", "ls 2>/dev/null", "sort a"]
    )
    for _ in range(draw.randrange(1, 4)):
        where = draw.randrange(len(line) + 1)
        line = line[:where] + draw.choice(PIECES) + draw.choice(["", " ", "evil"]) + line[where:]
    return line


class Stage:
    """A folder to run in and programs that write down their arguments."""

    def __init__(self, root: Path) -> None:
        self._programs, self._work, self._log = root / "bin", root / "work", root / "started"
        self._programs.mkdir()
        self._work.mkdir()
        (self._work / "a").write_text("a")
        for name in PROGRAMS:
            program = self._programs / name
            # One write, so that programs of one pipeline do not write into each other.
            program.write_text(f'#!{BASH}\nprintf "%s\\0" {name} "$@" $\'\\1\' >> {self._log}\n')
            program.chmod(0o755)

    def started(self, line: str) -> list[list[str]]:
        """The programs that a shell starts for the line."""
        self._log.write_bytes(b"")
        assert BASH is not None
        subprocess.run(
            [BASH, "--norc", "-c", line],
            cwd=self._work,
            env={"PATH": str(self._programs), "HOME": str(self._work)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=20,
            check=False,
        )
        commands = self._log.read_bytes().decode("utf-8", "replace").split("\x01\0")
        return [command.split("\0")[:-1] for command in commands if command]

    def files(self) -> list[str]:
        return sorted(path.name for path in self._work.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_a_shell_starts_only_reading_programs_for_lines_judged_read_only(tmp_path: Path) -> None:
    stage, draw, tried = Stage(tmp_path), random.Random(1), 0
    while tried < 250:
        line = _line(draw)
        if assess(line).risk is not Risk.READ_ONLY:
            continue
        tried += 1
        for command in stage.started(line):
            words = tuple(Word(text, literal=True) for text in command)
            assert reads_only(SimpleCommand(words)), f"{line!r} started {command}"
        assert stage.files() == ["a"], f"{line!r} made files"
