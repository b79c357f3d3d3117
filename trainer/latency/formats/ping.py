"""What ``ping -D`` of iputils prints: a line an answer, with the time at which it came.

Numbers that are missing were sent and not answered; when they were sent follows from their
neighbours. ``icmp_seq`` has 16 bits and begins again after 65,535. The first answer to a number
counts, further ones (``DUP!``) don't, nor do errors that routers report. What the summary says
was sent belongs to the series too. A file may hold the output of several runs.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sensor.errors import SeriesError
from trainer.latency.formats.columns import in_sequence
from trainer.latency.formats.text import opened, time_ns
from trainer.latency.series import LatencySeries

_BEGIN = re.compile(r"PING ([^\s(]+)")
_ANSWER = re.compile(r"\d+ bytes from (.+?): icmp_seq=(\d{1,5}) .*?time[=<]([0-9.]+) ms")
_OTHER = re.compile(r".*?icmp_seq[= ](\d{1,5})\b")
"""``no answer yet for icmp_seq=7``; or ``From 10.0.0.1 icmp_seq=7 Destination …``, an error."""

_SENT = re.compile(r"(\d+) packets transmitted")
_STAMPED = re.compile(r"\[(\d+\.\d+)\] (.*)")
_UNSTAMPED = re.compile(r"\d+ bytes from .*icmp_seq=")
_NUMBERS = 1 << 16
_LEAST_MS = 0.0005
"""Half of the last digit that ping prints: 0.000 is less, and not no answer."""


def is_ping(head: str) -> bool:
    """Whether a file that begins so is ping's output."""
    return any(
        form.match(line.lstrip())
        for line in head.splitlines()[:20]
        for form in (_BEGIN, _STAMPED, _UNSTAMPED)
    )


class _Run:
    """One run of ping: what is known of each of its numbers."""

    def __init__(self, file: str, peer: str, *, whole: bool) -> None:
        self.file = file
        self.peer = peer
        self.whole = whole
        self.answers: dict[int, tuple[int, float]] = {}
        self.noticed: dict[int, tuple[int, float]] = {}
        self.last: int | None = None
        self.sent = 0

    def number(self, printed: int) -> int:
        """The number of a measurement that `printed` is the last 16 bits of: the nearest one."""
        last = printed if self.last is None else self.last
        number = last + (printed - last + _NUMBERS // 2) % _NUMBERS - _NUMBERS // 2
        self.last = max(last, number)
        return number

    def series(self) -> LatencySeries:
        # Errors and what is overdue are noticed late: they only date what no answer dates.
        seen = self.noticed | self.answers
        known = self.answers if len(self.answers) > 1 else seen
        numbers = np.array(sorted(known), np.int64)
        first, last = min(seen), max(seen)
        if self.whole:
            first = min(first, 1)
            # A summary that is further off than numbers reach is of another run.
            if self.sent - (last - first + 1) < _NUMBERS // 2:
                last = max(last, first + self.sent - 1)
        sent = np.array([known[int(k)][0] for k in numbers], np.int64)
        rtts = np.array([known[int(k)][1] for k in numbers])
        try:
            return in_sequence(f"{self.file} {self.peer}", numbers, sent, rtts, first, last)
        except ValueError as error:
            raise SeriesError(f"{self.file}: {error}; not a run of `ping -D`") from None


def read_ping(path: Path) -> Iterator[LatencySeries]:
    """Reads the series of all runs.

    Raises:
        SeriesError: a line is damaged, or tells no time.
        MissingInputError: the file can't be read.
    """
    run: _Run | None = None
    with opened(path) as file:
        for place, raw in enumerate(file, 1):
            line = raw.strip()
            if begun := _BEGIN.match(line):
                if run is not None and run.last is not None:
                    yield run.series()
                run = _Run(path.name, begun[1], whole=True)
            elif stamped := _STAMPED.match(line):
                run = run or _Run(path.name, "", whole=False)
                _add(run, stamped[1], stamped[2], f"{path}:{place}")
            elif _UNSTAMPED.match(line):
                raise SeriesError(
                    f"{path}:{place}: an answer without its time; record with `ping -D`"
                )
            elif run is not None and (summed := _SENT.match(line)):
                run.sent = int(summed[1])
    if run is not None and run.last is not None:
        yield run.series()


def _add(run: _Run, stamp: str, text: str, place: str) -> None:
    """Takes a line with a time into account; what has no number is a remark of ping's."""
    try:
        at_ns = time_ns(stamp)
        if answer := _ANSWER.match(text):
            run.peer = run.peer or answer[1]
            number, rtt_ms = run.number(int(answer[2])), max(float(answer[3]), _LEAST_MS)
            if rtt_ms * 1e6 > at_ns:
                raise ValueError(f"a round-trip time of {answer[3]} ms")  # noqa: TRY301
            run.answers.setdefault(number, (at_ns - round(rtt_ms * 1e6), rtt_ms))
        elif other := _OTHER.match(text):
            if "bytes from" in text:
                raise SeriesError(
                    f"{place}: an answer without a round-trip time; ping with at least 16 bytes "
                    "of payload (-s), and don't cut lines"
                )
            run.noticed.setdefault(run.number(int(other[1])), (at_ns, np.nan))
    except ValueError as error:
        raise SeriesError(f"{place}: {error}; not a line of `ping -D`") from None
