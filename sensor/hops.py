"""Where the time goes: processor time of each hop of the chain (``--profile``). A leaf.

A hop's time is what passes in its functions, less what passes in other hops that these call, so
the hops add up. Nothing is measured, and a call costs a tenth of a microsecond more, until
somebody asks.
"""

import functools
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import ParamSpec, TypeVar

HOPS = ("read", "walk", "decode", "table", "lookup", "group", "context", "emit", "inference",
        "annotate", "alerts")  # fmt: skip
"""In the order in which a packet meets them:

- ``read``: bytes of files, and unpacking them; ``walk``: finding the records in them, or in a
  ring's blocks, and their columns;
- ``decode``: headers; ``table``: flows, and the numbering of their packets;
- ``lookup``: from keys to flows; ``group``: sorting packets by flow and cutting at their ends;
- ``context``: how many flows began lately; ``emit``: deciding and filling rows;
- ``inference``: encoding and scoring rows; ``annotate``: what is said of flows, and whether it
  was right; ``alerts``: incidents and writing them.
"""

P = ParamSpec("P")
R = TypeVar("R")


class Profile:
    """Processor time by hop, of all threads.

    Attributes:
        spent_ns: by hop, without those inside it.
        calls: by hop.
    """

    def __init__(self) -> None:
        self.spent_ns: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._begun_ns = time.process_time_ns()
        self._here = threading.local()

    def enter(self, hop: str) -> str:
        """Begins a hop; returns the one around it."""
        outer: str = getattr(self._here, "hop", "")
        self._charge(outer)
        self._here.hop = hop
        self.calls[hop] += 1
        return outer

    def leave(self, outer: str) -> None:
        """Ends the hop that is going on, within the one around it."""
        self._charge(self._here.hop)
        self._here.hop = outer

    def _charge(self, hop: str) -> None:
        now = time.thread_time_ns()
        if hop:
            self.spent_ns[hop] += now - self._here.since_ns
        self._here.since_ns = now

    def lines(self, packets: int, flows: int) -> list[str]:
        """A table: seconds, share, nanoseconds a packet and microseconds a flow of each hop."""
        total_ns = time.process_time_ns() - self._begun_ns
        rest_ns = max(0, total_ns - self.spent_ns.total())
        entries = [(hop, self.spent_ns[hop]) for hop in HOPS if self.calls[hop]]
        lines = [f"{'hop':<10} {'seconds':>8} {'share':>6} {'ns/packet':>10} {'µs/flow':>8}"]
        for hop, spent_ns in (*entries, ("the rest", rest_ns), ("all", total_ns)):
            lines.append(
                f"{hop:<10} {spent_ns / 1e9:>8.3f} {spent_ns / max(total_ns, 1):>6.1%} "
                f"{spent_ns / max(packets, 1):>10,.0f} {spent_ns / 1e3 / max(flows, 1):>8.2f}"
            )
        return lines


_profile: Profile | None = None


def start() -> Profile:
    """Measures from now on, anew."""
    global _profile  # noqa: PLW0603 -- one process, one chain
    _profile = Profile()
    return _profile


def stop() -> None:
    """Measures no longer."""
    global _profile  # noqa: PLW0603
    _profile = None


def hop(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function part of one of the `HOPS`."""
    if name not in HOPS:
        raise ValueError(f"{name} is no hop")

    def of(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def measured(*arguments: P.args, **named: P.kwargs) -> R:
            profile = _profile
            if profile is None:
                return function(*arguments, **named)
            outer = profile.enter(name)
            try:
                return function(*arguments, **named)
            finally:
                profile.leave(outer)

        return measured

    return of
