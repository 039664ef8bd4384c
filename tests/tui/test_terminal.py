"""A real window in a pseudo-terminal: nothing foreign gets out, and it ends cleanly whatever ends it.

``TUI_FOREIGN_STRINGS`` sets how many byte strings are shown; the whole gate is 5,000.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path
from typing import Self

import pytest

from agent.clean import clean
from agent.messages import UserMessage
from agent.store import SessionStore

ROOT = Path(__file__).parents[2]
STRINGS = int(os.environ.get("TUI_FOREIGN_STRINGS", "150"))
_SEQUENCE = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]*\x1b\\|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -~]|\x9b"
)
SAID = ["harmless 0 [x](y) `code`", "harmless 1 [x](y) `code`"]  # by the user
_COMMON = re.compile(r"\x1b\[[\d;]*m|\x1b\[\d+;\d+H")  # colours and places


class Window:
    """The program in a terminal of 100 x 30; ``output`` is all that it wrote. Neither outlives the ``with`` block."""

    def __init__(self, folder: Path, kind: str, count: int, **environment_too: str) -> None:
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.state = folder / "state"
        self._master, slave = pty.openpty()
        self.resize(30, 100)
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "HOME": str(folder)}
        environment |= {"XDG_STATE_HOME": str(self.state), "XDG_CONFIG_HOME": str(folder / "config")}
        environment |= environment_too
        environment.pop("PYTHONUNBUFFERED", None)  # few people have it, and with it nothing is left to write at the end
        command = [sys.executable, "-m", "tests.tui.window_program", kind, str(count), "--mode", "yolo", "--model", "x"]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=self.work, env=environment, start_new_session=True
        )
        os.close(slave)
        self._raw = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()  # nothing, where it has ended
        self.process.wait()
        self.hang_up()

    @property
    def output(self) -> str:
        return self._raw.decode("utf-8", "surrogateescape")

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text: str, seconds: float = 120.0) -> None:
        """Read until ``text`` was written, or the program has ended."""
        end = time.monotonic() + seconds
        while text not in self.output and time.monotonic() < end and self._read():
            pass
        assert text in self.output, self.output[-3_000:]

    @property
    def messages(self) -> list[str]:
        """What the user said, as the store kept it."""
        store = SessionStore(self.state / "gemma-agent")
        try:
            kept = store.load(store.sessions()[0].id)
        finally:
            store.close()
        return [each.text for each in kept.messages if isinstance(each, UserMessage)]

    def hang_up(self) -> None:
        """Close the terminal. The program has no controlling terminal, so the system sends it no SIGHUP."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def end(self, number: int) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        end = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < end:
            self._read()
        code = self.process.wait(timeout=5)
        while self._read(0.1):
            pass
        return code

    def _read(self, seconds: float = 0.5) -> bool:
        """Whether more may come."""
        if not select.select([self._master], [], [], seconds)[0]:
            return self.process.poll() is None
        try:
            piece = os.read(self._master, 1 << 16)
        except OSError:
            return False
        self._raw += piece
        return bool(piece)


def shapes(output: str) -> set[str]:
    """The kinds of control sequences, colours and places apart."""
    return {found for found in _SEQUENCE.findall(output) if not _COMMON.fullmatch(found)}


@pytest.mark.slow
def test_no_control_sequence_of_a_file_a_tool_or_a_model_reaches_the_terminal(tmp_path: Path) -> None:
    with Window(tmp_path / "a", "harmless", 50) as harmless:
        harmless.until("all is said")
        assert harmless.end(signal.SIGTERM) == 128 + signal.SIGTERM
    with Window(tmp_path / "b", "hostile", STRINGS) as window:
        window.until("all is said", seconds=1_200)
        assert window.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert shapes(window.output) <= shapes(harmless.output)
    rest = _SEQUENCE.sub("", window.output).replace("\r", "").replace("\x07", "")
    assert clean(rest) == rest


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly_and_every_message_is_kept(tmp_path: Path, number: signal.Signals) -> None:
    with Window(tmp_path / "a", "harmless", 50) as window:
        window.resize(1, 1)
        window.process.send_signal(signal.SIGWINCH)
        time.sleep(0.3)
        window.resize(40, 120)
        window.process.send_signal(signal.SIGWINCH)
        window.until("all is said")
        assert window.end(number) == 128 + number
    assert "Traceback" not in window.output
    assert window.messages == SAID


@pytest.mark.slow
@pytest.mark.parametrize("read_until", ["all is said", "harmless 0"])
def test_it_ends_cleanly_when_its_terminal_is_gone(tmp_path: Path, read_until: str) -> None:
    with Window(tmp_path / "a", "harmless", 50) as window:
        window.until(read_until)
        for columns in (60, 140, 80):  # pictures that nobody reads: what it writes to is full when it goes
            window.resize(30, columns)
            window.process.send_signal(signal.SIGWINCH)
            time.sleep(0.3)
        window.hang_up()
        assert window.process.wait(timeout=60) == 128 + signal.SIGHUP
    assert (window.work / "ended-cleanly").exists()
    kept = window.messages
    assert kept == SAID[: len(kept)]
    assert kept == SAID or read_until != "all is said"
    assert kept


@pytest.mark.slow
def test_it_does_not_outlive_a_terminal_that_goes_while_it_starts(tmp_path: Path) -> None:
    with Window(tmp_path / "a", "harmless", 50) as window:
        window.hang_up()
        assert window.process.wait(timeout=60) == 128 + signal.SIGHUP


@pytest.mark.slow
def test_the_second_hangup_of_a_closing_terminal_does_not_cut_the_clean_end_short(tmp_path: Path) -> None:
    """The system sends one, the shell in between another."""
    with Window(tmp_path / "a", "slow", 50) as window:
        window.until("all is said")
        window.process.send_signal(signal.SIGHUP)
        window.until("closing")
        assert window.end(signal.SIGHUP) == 128 + signal.SIGHUP
    assert (window.work / "ended-cleanly").exists()
    assert window.messages == SAID


def colours(output: str) -> set[int]:
    """The codes by which colours were asked for; 39 and 49 are the terminal's own."""
    codes = {int(code) for codes in re.findall(r"\x1b\[([\d;]*)m", output) for code in codes.split(";") if code}
    return codes & {*range(30, 39), *range(40, 49), *range(90, 108)}


@pytest.mark.slow
def test_with_no_color_no_colour_is_sent_and_without_it_some_are(tmp_path: Path) -> None:
    with Window(tmp_path / "a", "harmless", 50) as coloured:
        coloured.until("all is said")
        coloured.end(signal.SIGTERM)
    with Window(tmp_path / "b", "harmless", 50, NO_COLOR="1") as window:
        window.until("all is said")
        window.end(signal.SIGTERM)
    assert colours(coloured.output)
    assert not colours(window.output)
    assert re.search(r"\x1b\[1[;m]", window.output), "weight says what colour would"


@pytest.mark.slow
def test_a_disk_that_is_full_is_a_sentence_and_what_was_kept_before_is_there(tmp_path: Path) -> None:
    with Window(tmp_path / "a", "full", 75) as window:
        window.until("all is said")
        assert window.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert "This session is no longer kept." in " ".join(_SEQUENCE.sub("", window.output).split())
    assert "Traceback" not in window.output
    assert window.messages[0] == SAID[0]
