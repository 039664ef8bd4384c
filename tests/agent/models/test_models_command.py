"""``agent models`` as a user runs it, against a hub on localhost: list, pull, verify, rm and their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.hub_server import FakeHub, serve
from tests.fakes.tiny_gguf import gguf_bytes, write_gguf

REPO = "unsloth/gemma-4-E2B-it-qat-GGUF"
TARGET = gguf_bytes(rows=2000)


@dataclass
class Shell:
    """A user with an empty home and a hub."""

    home: Path
    hub: FakeHub

    def models(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "HF_ENDPOINT": self.hub.endpoint,
            "HF_HUB_DISABLE_XET": "1",
        }
        command = [sys.executable, "-m", "agent", "models", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    files = {"gemma-4-E2B-it-qat-UD-Q4_K_XL.gguf": TARGET, "mtp-gemma-4-E2B-it.gguf": gguf_bytes(rows=8)}
    with serve(FakeHub({REPO: files})) as hub:
        yield Shell(tmp_path, hub)


@pytest.mark.slow
def test_a_model_is_pulled_listed_verified_and_removed(shell: Shell) -> None:
    pulled = shell.models("pull", "gemma-4-e2b")
    assert pulled.returncode == 0, pulled
    target, drafter = map(Path, pulled.stdout.split())
    assert target.read_bytes() == TARGET
    assert drafter.name == "mtp-gemma-4-E2B-it.gguf"
    assert "Gemma 4 E2B is here and verified." in pulled.stderr

    rows = {row["name"]: row for row in json.loads(shell.models("list", "--json").stdout)}
    assert rows["gemma-4-e2b"]["state"] == "here, verified"
    assert rows["gemma-4-e2b"]["path"] == str(target)
    assert rows["gemma-4-31b"]["state"] == "not here"

    verified = shell.models("verify")
    assert (verified.returncode, verified.stdout) == (0, "gemma-4-e2b: ok\n")

    removed = shell.models("rm", "e2b")
    assert removed.returncode == 0
    assert not target.exists()
    assert not list((shell.home / ".cache/huggingface/hub").rglob("blobs/*"))
    assert shell.models("rm", "e2b").returncode == 2


def test_a_drafter_that_is_missing_is_fetched_by_pulling_again(shell: Shell) -> None:
    target, drafter = map(Path, shell.models("pull", "gemma-4-e2b").stdout.split())
    drafter.resolve().unlink()
    drafter.unlink()
    doctor = [sys.executable, "-m", "agent", "doctor", "--offline"]
    environment = {"HOME": str(shell.home), "PATH": os.environ["PATH"], "COLUMNS": "400"}
    said = subprocess.run(doctor, capture_output=True, text=True, env=environment, check=False).stdout
    assert "without its drafter: answers take longer" in said
    assert "agent models pull gemma-4-e2b fetches its drafter" in said

    assert shell.models("pull", "gemma-4-e2b").stdout.split() == [str(target), str(drafter)]
    assert drafter.exists()


def test_a_file_that_changed_on_disk_is_found_by_verify_and_no_longer_used(shell: Shell) -> None:
    target = Path(shell.models("pull", "gemma-4-e2b").stdout.split()[0])
    status = target.stat()
    target.resolve().write_bytes(TARGET[:-1] + b"?")
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a failing disk does it
    verified = shell.models("verify", "gemma-4-e2b")
    assert (verified.returncode, verified.stdout) == (1, "gemma-4-e2b: damaged\n")
    assert "wrong sha256" in verified.stderr
    assert not target.exists()


def test_a_second_pull_asks_for_nothing(shell: Shell) -> None:
    shell.models("pull", "gemma-4-e2b")
    shell.hub.requests.clear()
    assert shell.models("pull", "gemma-4-e2b").returncode == 0
    assert shell.hub.requests == []


def test_the_list_is_a_table_with_the_users_own_files(shell: Shell) -> None:
    write_gguf(shell.home / ".cache/gemma-agent/models/mine.gguf")
    done = shell.models("list")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "CONTEXT", "THAT", "FITS", "STATE", "FILE"]
    assert lines[-1].startswith("mine ")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["pull", "gemma-5"], "There is no model named 'gemma-5'"),
        (["pull", "e2b", "--offline"], "Nothing can be fetched with --offline."),
        (["pull", "gemma-4-31b"], "The hub has no google/gemma-4-31B-it-qat-q4_0-gguf"),
        (["verify"], "There is nothing to verify"),
        (["verify", "e2b"], "There is nothing to verify"),
        (["rm", "e2b"], "is not on this machine; nothing was removed"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_2(shell: Shell, arguments: list[str], sentence: str) -> None:
    done = shell.models(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_parsing_the_command_line_loads_nothing_heavy() -> None:
    program = """
import argparse, sys
from agent.models.commands import add_arguments
add_arguments(argparse.ArgumentParser())
print([name for name in ("pydantic", "rich", "huggingface_hub", "numpy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
