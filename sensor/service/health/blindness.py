"""When nothing could be seen of an interface, and for how long.

Begin and end are told in the time of this machine, which a person compares with other logs; how
long it lasted is measured on the monotonic clock, as the other one may be set meanwhile.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensor.alerts.eve import timestamp

KEPT = 100
"""Intervals that are told; an interface can go up and down as often as somebody likes."""


@dataclass(slots=True)
class _Open:
    interface: str
    why: str
    since_ns: int
    since_s: float

    def document(self, to: str | None, now_s: float) -> dict[str, Any]:
        return {
            "interface": self.interface,
            "from": timestamp(self.since_ns),
            "to": to,
            "why": self.why,
            "seconds": round(now_s - self.since_s, 3),
        }


class Blindness:
    """Intervals in which an interface was blind.

    Attributes:
        interfaces: that are watched.
    """

    def __init__(
        self, interfaces: Sequence[str], now_s: float, earlier: Iterable[dict[str, Any]] = ()
    ) -> None:
        """Begins to watch.

        Args:
            interfaces: their names.
            now_s: time on the monotonic clock.
            earlier: intervals that a run before this one has told.
        """
        self.interfaces = tuple(interfaces)
        self._begun_s = now_s
        self._open: dict[str, _Open] = {}
        self._past = deque(earlier, KEPT)
        self._seconds = dict.fromkeys(self.interfaces, 0.0)

    @property
    def now(self) -> dict[str, str]:
        """Why nothing is seen of an interface at present, by its name."""
        return {name: each.why for name, each in self._open.items()}

    def look(self, blind: Mapping[str, str], now_s: float, wall_ns: int) -> None:
        """Takes in what can't be seen now.

        Args:
            blind: reasons by interface (`sensor.capture.live.Watching`).
            now_s: time on the monotonic clock.
            wall_ns: time of this machine.
        """
        for name, why in self.now.items():
            if blind.get(name) != why:
                ended = self._open.pop(name)
                self._past.append(ended.document(timestamp(wall_ns), now_s))
                self._seconds[name] += now_s - ended.since_s
        for name, why in blind.items():
            if name not in self._open:
                self._seconds.setdefault(name, 0.0)
                self._open[name] = _Open(name, why, wall_ns, now_s)

    def intervals(self, now_s: float) -> list[dict[str, Any]]:
        """The last ones in order of their ends, those that go on (``to`` is null) at the end."""
        return [*self._past, *(each.document(None, now_s) for each in self._open.values())][-KEPT:]

    def document(self, now_s: float) -> dict[str, Any]:
        """Seconds in all and blind ones by interface, and the share of all of these that is blind.

        Half of the share is one of two interfaces the whole time, or both half of the time.
        """
        seconds = dict(self._seconds)
        for name, each in self._open.items():
            seconds[name] += now_s - each.since_s
        watched = (now_s - self._begun_s) * len(seconds)
        return {
            "seconds": round(now_s - self._begun_s, 3),
            "blind_seconds": {name: round(blind, 3) for name, blind in seconds.items()},
            "blind_share": round(sum(seconds.values()) / watched, 6) if watched > 0 else 0.0,
        }
