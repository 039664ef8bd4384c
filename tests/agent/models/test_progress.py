"""Progress: the rate and the time left are those of the last seconds, shown as a moving line or now and then."""

from __future__ import annotations

import io

import pytest

from agent.models.display import ProgressLine, duration_text, progress_text
from agent.models.progress import Meter, Progress


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_time_left_follows_the_rate_of_the_last_seconds() -> None:
    clock, seen = Clock(), list[Progress]()
    meter = Meter("file", 10_000, seen.append, clock)
    for second in range(41):
        clock.now = float(second)
        meter.update(10 * second if second <= 20 else 200 + 200 * (second - 20))
    assert seen[-1].rate == pytest.approx(200, rel=0.1)
    assert seen[-1].seconds_left == pytest.approx((10_000 - 4200) / 200, rel=0.1)


def test_reports_come_at_most_ten_a_second_but_the_end_always() -> None:
    clock, seen = Clock(), list[Progress]()
    meter = Meter("file", 1000, seen.append, clock)
    for done in range(1001):
        clock.now = done / 1000
        meter.update(done)
    assert len(seen) <= 12
    assert (seen[-1].done, seen[-1].seconds_left) == (1000, 0)


def test_a_transfer_that_has_hardly_begun_promises_no_time() -> None:
    clock, seen = Clock(), list[Progress]()
    meter = Meter("file", 10**9, seen.append, clock)
    meter.update(0)
    clock.now = 1.0
    meter.update(100)
    assert seen[-1].seconds_left is None


def test_a_resumed_transfer_does_not_count_what_was_here_as_speed() -> None:
    clock, seen = Clock(), list[Progress]()
    meter = Meter("file", 1000, seen.append, clock)
    meter.update(900)
    clock.now = 1.0
    meter.update(950)
    assert seen[-1].rate == 50


def test_a_state_reads_as_a_sentence() -> None:
    text = progress_text(Progress("Small Model", 480_000_000, 1_100_000_000, 54_000_000.0, 11.6))
    assert text == "Small Model: 43 % of 1.1 GB, 54 MB/s, 12 s left"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_terminal_gets_one_line_that_is_redrawn_and_ended_once() -> None:
    stream = Terminal()
    line = ProgressLine(stream)
    line(Progress("a long name", 1, 100, 0.0, None))
    line(Progress("short", 100, 100, 0.0, 0.0))
    line.end()
    line.end()
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().split("\r")[-1].rstrip() == "short: 100 % of 0 kB"


def test_elsewhere_a_line_comes_every_five_seconds_and_at_the_end() -> None:
    clock, stream = Clock(), io.StringIO()
    line = ProgressLine(stream, clock)
    for second in range(13):
        clock.now = float(second)
        line(Progress("file", second, 12, 1.0, 1.0))
    assert stream.getvalue().count("\n") == 4  # at 0, 5, 10 and 12
    assert "\r" not in stream.getvalue()
