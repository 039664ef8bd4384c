"""The command line as a program: exit codes, sentences, and where they go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.tiny_gguf import write_gguf

ROOT = Path(__file__).parents[2]


class Shell:
    """Runs ``agent`` in an empty home and a repository."""

    def __init__(self, root: Path) -> None:
        self.repository = root / "repository"
        self.repository.mkdir()
        subprocess.run(["git", "init", "-q", str(self.repository)], check=True)
        self.environment = {
            "HOME": str(root),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
        }

    def agent(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "agent", *arguments],
            cwd=self.repository,
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-p", "hi", "--model", "no-such-model", "--offline"], "no-such-model"),
        (["-p", "hi", "--model", "/nowhere/model.gguf"], "/nowhere/model.gguf"),
        (["-p", "hi", "--offline"], "--offline"),
        (["-p", "hi", "-c"], "no session"),
        (["-p", "hi", "-r", "zzz"], "no session zzz"),
        (["-p", "hi", "--fork"], "--fork needs"),
        (["-p", "hi", "--json-schema", "/nowhere/schema.json"], "/nowhere/schema.json"),
        (["-p", "hi", "--max-turns", "0"], "--max-turns"),
        (["-p", "hi", "--mode", "wild"], "--mode"),
        (["-p"], "no prompt"),
        (["sessions", "show", "zzz"], "no session zzz"),
        (["undo"], "nothing to undo"),
        (["bogus"], "bogus"),
        (["fix"], "--test"),
    ],
)
def test_what_cannot_run_is_a_sentence_on_standard_error_and_exit_code_2(
    shell: Shell, arguments: list[str], says: str
) -> None:
    done = shell.agent(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_configuration_names_file_and_key(shell: Shell) -> None:
    path = Path(shell.environment["HOME"]) / ".config/gemma-agent/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("max_turn = 3\n")
    done = shell.agent("sessions")
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert "did you mean max_turns?" in done.stderr


def test_a_model_file_that_is_no_model_is_named(shell: Shell) -> None:
    (shell.repository / "broken.gguf").write_bytes(b"GGUF\x03\0\0\0 and then nothing")
    done = shell.agent("-p", "hi", "--model", "broken.gguf")
    assert done.returncode == 2
    assert "broken.gguf" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_schema_that_is_none_is_refused(shell: Shell) -> None:
    for text, says in (("{", "not JSON"), ('{"type": "banana"}', "not a valid JSON schema")):
        (shell.repository / "schema.json").write_text(text)
        done = shell.agent("-p", "hi", "--json-schema", "schema.json")
        assert done.returncode == 2
        assert says in done.stderr


def test_too_much_on_standard_input_is_refused(shell: Shell) -> None:
    done = shell.agent("-p", "sum up", stdin="x" * 1_100_000)
    assert done.returncode == 2
    assert "longer than 1,000,000 bytes" in done.stderr


def test_help_and_version_answer_without_anything_heavy(shell: Shell) -> None:
    heavy = "pydantic rich textual sqlite3 llama_cpp numpy asyncio tree_sitter"
    script = (
        "import sys\n"
        "from agent.cli import build_parser\n"
        "build_parser().format_help()\n"
        f"print([name for name in '{heavy}'.split() if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "fix" in shell.agent("--help").stdout
    assert shell.agent("--version").stdout.startswith("gemma-agent ")


def test_an_empty_list_of_sessions_is_no_error(shell: Shell) -> None:
    done = shell.agent("sessions")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no sessions" in done.stderr


def test_nobody_reading_the_output_is_no_traceback(shell: Shell) -> None:
    script = 'exec 3>&2; { "$0" -m agent models list --offline 2>&3; echo "code $?" >&3; } | true'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable],
        cwd=shell.repository,
        env=shell.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_ctrl_c_while_waiting_ends_with_130(shell: Shell) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "-p"],
        cwd=shell.repository,
        env=shell.environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        # More than a pipe holds: it returns when the program is reading.
        process.stdin.write(b"x" * 200_000)
        process.send_signal(signal.SIGINT)
        code, said = process.wait(timeout=60), process.stderr.read()
    assert code == 130
    assert said == b"agent: interrupted\n"


def test_the_demo_runs_the_tests_and_names_a_model_that_cannot_be_loaded(shell: Shell, tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "tiny.gguf")
    done = shell.agent("demo", "--model", str(model), "--directory", str(tmp_path / "demo"), "--in-process")
    assert done.returncode == 2
    assert "2 failed" in done.stderr
    assert "tiny.gguf" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
