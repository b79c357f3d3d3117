"""What is wrong with a live run, in words that say what to do about it.

A loss is a reason while it goes on and for a minute after, so that whoever asks once a minute hears
of it. All of that is measured on the monotonic clock.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sensor.alerts.allow import AllowList
from sensor.alerts.eve import timestamp
from sensor.alerts.sinks import EventLog
from sensor.capture.live import Watching
from sensor.quantities import number

LOSS_S = 60

LOST_ALERTS_S = 3_600
"""An alert that nobody will read is worse than a frame."""

BYPASS_S = 180
"""It is looked for once a minute."""

EXPIRES_SOON_NS = 7 * 86_400 * 10**9

FIRST_YEAR = 2020
"""A machine whose clock says less has none that works, and has not been told the time yet."""

_FIRST_NS = int(datetime(FIRST_YEAR, 1, 1, tzinfo=timezone.utc).timestamp()) * 10**9


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is not healthy.

    Attributes:
        key: the same for as long as it is the same trouble; the text may hold numbers.
        text: for a person.
        told_elsewhere: whoever found it has told it in the log.
    """

    key: str
    text: str
    told_elsewhere: bool = False


class Growth:
    """How much a counter has grown lately."""

    def __init__(self, span_s: float, now_s: float) -> None:
        """Starts at 0, for this much time."""
        self._span_s = span_s
        self._steps: deque[tuple[float, int]] = deque([(now_s, 0)])

    def of(self, value: int, now_s: float) -> int:
        """By how much more it is than it was a span ago; memory is one place for each change."""
        if value != self._steps[-1][1]:
            # A second is fine enough: what changes at every look takes 60 places for a minute.
            if len(self._steps) > 1 and now_s - self._steps[-2][0] < self._span_s / 60:
                self._steps.pop()
            self._steps.append((now_s, value))
        while len(self._steps) > 1 and self._steps[1][0] <= now_s - self._span_s:
            self._steps.popleft()
        return value - self._steps[0][1]


class Symptoms:
    """Looks at the parts of a run."""

    def __init__(self, source: Watching, log: EventLog, silence_s: float, now_s: float) -> None:
        """Begins to look.

        Args:
            source: what is captured from.
            log: of alerts.
            silence_s: after so long without a frame something is wrong.
            now_s: time on the monotonic clock.
        """
        self._source, self._log, self._silence_s = source, log, silence_s
        self._packets, self._heard_s = 0, now_s
        spans = {
            "kernel_drops": LOSS_S,
            "shed": LOSS_S,
            "frames_unrecorded": LOSS_S,
            "alerts_lost": LOST_ALERTS_S,
            "offload_frames": LOSS_S,
            "bypassed": BYPASS_S,
            "clock_steps": LOSS_S,
        }
        self._growth = {name: Growth(span_s, now_s) for name, span_s in spans.items()}

    def hear(self, packets: int, now_s: float) -> None:
        """Takes in how many frames have come so far."""
        if packets != self._packets:
            self._packets, self._heard_s = packets, now_s

    def silent_s(self, now_s: float) -> float:
        """For how long no frame has come."""
        return now_s - self._heard_s

    def reasons(self, document: Mapping[str, Any], now_s: float, wall_ns: int) -> list[Reason]:
        """All that is wrong now, the gravest first.

        Args:
            document: the status (`Health.document`).
            now_s: time on the monotonic clock.
            wall_ns: time of this machine.
        """
        counts = document["statistics"]
        grown = {name: each.of(counts[name], now_s) for name, each in self._growth.items()}
        return [
            *self._of_sight(document, now_s),
            *self._of_log(counts, grown),
            *self._of_losses(counts, grown),
            *self._of_clock(grown, wall_ns),
        ]

    def _of_sight(self, document: Mapping[str, Any], now_s: float) -> Iterator[Reason]:
        blind = {name: each["blind"] for name, each in document["interfaces"].items()}
        for name, why in blind.items():
            if why:
                text = f"blind: interface {name} {why}, so nothing is seen there"
                yield Reason(f"blind {name}", text, told_elsewhere=True)
        silent_s = self.silent_s(now_s)
        if silent_s >= self._silence_s and not all(blind.values()):
            yield Reason(
                "silence",
                f"no frame has come for {_duration(silent_s)}: is the cable in, does the switch "
                f"mirror to this port, is {self._source.interface} the right interface?",
            )

    def _of_log(self, counts: Mapping[str, Any], grown: Mapping[str, int]) -> Iterator[Reason]:
        log = self._log
        if log.spooled:
            yield Reason(
                "log",
                f"{log.path}: alerts can't be written and {log.spooled} wait in memory; make room, "
                "or see to its folder and permissions",
                told_elsewhere=True,
            )
        if lost := grown["alerts_lost"]:
            text = (
                f"{number(lost, 'alert')} of the last hour could not be written and "
                f"{'is' if lost == 1 else 'are'} lost ({counts['alerts_lost']:,} so far)"
            )
            yield Reason("lost", text, told_elsewhere=True)

    def _of_losses(self, counts: Mapping[str, Any], grown: Mapping[str, int]) -> Iterator[Reason]:
        name = self._source.interface
        texts = {
            "kernel_drops": "{} lost in the last minute ({:,} so far), as they came faster than "
            "they were read: more memory (buffer_mib) or workers may help",
            "shed": "{} not looked at in the last minute ({:,} so far), as detection fell behind "
            "what came in: a flood, or a machine that is too slow",
            "frames_unrecorded": "{} not recorded in the last minute ({:,} so far)",
            "offload_frames": "{} merged before they were captured in the last minute ({:,} so "
            f"far), so sizes are not those of the wire: switch it off (ethtool -K {name} gro off "
            "lro off gso off tso off)",
            "bypassed": "{} forwarded past the capture in the last minutes ({:,} so far): switch "
            "hardware flow offload off",
        }
        nouns = {"shed": "row"}
        for entry, text in texts.items():
            if more := grown[entry]:
                what = number(more, nouns.get(entry, "frame"))
                what += " was" if more == 1 else " were"
                yield Reason(entry, text.format(what, counts[entry]), told_elsewhere=True)

    def _of_clock(self, grown: Mapping[str, int], wall_ns: int) -> Iterator[Reason]:
        if grown["clock_steps"]:
            yield Reason(
                "clock set back",
                "the clock was set back in the last minute: flows and incidents ended and begin "
                "anew",
            )
        if wall_ns < _FIRST_NS:
            yield Reason(
                "clock",
                f"the clock says {timestamp(wall_ns)[:10]}, so times in alerts are wrong: see to "
                "time synchronization (timedatectl)",
            )


def of_rules(allow: AllowList, wall_ns: int) -> Iterator[Reason]:
    """Rules that allow nothing any more, or soon."""
    for rule in allow.rules:
        if rule.expires_ns is None or rule.expires_ns - wall_ns > EXPIRES_SOON_NS:
            continue
        name = f"allow rule {rule.comment!r} ({rule.place})" if rule.place else repr(rule.comment)
        when = timestamp(rule.expires_ns)[:16].replace("T", " ")
        if rule.expired(wall_ns):
            text = f"{name} expired at {when} UTC: its alerts come again; renew or remove it"
            yield Reason(f"expired {name}", text)
        else:
            text = f"{name} expires at {when} UTC: renew it if it is still wanted"
            yield Reason(f"expires {name}", text)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3_600
    return f"{minutes:.0f} min" if minutes < 120 else f"{hours:.0f} h"
