"""Headers in, measurements of round-trip times out, whoever the peers are.

Time is the flow clock (`docs/semantics.md` 1), and room is made at fixed counts of packets, so
block sizes don't matter.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.epochs import part_of
from sensor.flows.slots import FOREVER
from sensor.latency.measurements import ECHO_KIND, MEASUREMENT, SYN_KIND, in_order
from sensor.latency.probes import PIECE, Probes
from sensor.latency.questions import connections_and_echoes, timestamps
from sensor.packets.headers import Headers

ANSWER_NS = 3_000_000_000
"""How long a SYN, a SYN-ACK and an echo request wait: for as long as Linux waits for the second
answer to a SYN (RFC 6298 section 2: the first time-out is 1 s, the next one 2 s)."""
TIMESTAMP_NS = 10_000_000_000
"""How long a TCP timestamp waits, as in pping (its tsvalMaxAge)."""


class RoundTrips:
    """Measures.

    Attributes:
        clock_ns: time before which everything has been decided and given.
        late: packets older than the clock to which silence had advanced it.
    """

    def __init__(self) -> None:
        self.clock_ns = 0
        self.late = 0
        self._ticked_ns = 0
        self._packets = 0
        self._asked = Probes(ANSWER_NS, (SYN_KIND, ECHO_KIND), certain=False)
        self._stamped = Probes(TIMESTAMP_NS, (), certain=True)

    @property
    def waiting(self) -> int:
        """Questions that are held now."""
        return self._asked.held + self._stamped.held

    @property
    def evicted(self) -> int:
        """Questions without an answer that made room for others, so far."""
        return self._asked.evicted + self._stamped.evicted

    @property
    def ambiguous(self) -> int:
        """Answers so far to questions that had been sent again."""
        return self._asked.ambiguous

    def add(self, headers: Headers, clock_ns: int = 0) -> NDArray[np.void]:
        """Takes a block of packets; the measurements that are decided, in order.

        Args:
            headers: decoded packets with `PROBE_TYPES`, in the order of the capture.
            clock_ns: lower bound of the clock afterwards, for a silent live link; else 0.

        Returns:
            Records `MEASUREMENT`. Failed ones are of all questions without an answer, be there
            such a peer or not.
        """
        self.late += int(np.count_nonzero(headers.timestamp_ns < self._ticked_ns))
        found = [np.zeros(0, MEASUREMENT)]
        done = 0
        while done < len(headers):
            count = min(PIECE - self._packets % PIECE, len(headers) - done)
            found.append(self._add(part_of(headers, slice(done, done + count))))
            done += count
        if clock_ns > self.clock_ns:
            self._ticked_ns = clock_ns
            found.append(self._advance(clock_ns))
        return np.concatenate(found)

    def finish(self) -> NDArray[np.void]:
        """The measurements that are left; the stream's end is silence without end."""
        return self._advance(FOREVER)

    def restart(self) -> None:
        """Begins another stream after `finish`, as its clock was set back; counts go on."""
        self.clock_ns = self._ticked_ns = self._packets = 0
        self._asked.restart()
        self._stamped.restart()

    def _add(self, headers: Headers) -> NDArray[np.void]:
        clock = np.maximum.accumulate(np.maximum(headers.timestamp_ns, self.clock_ns))
        found = [
            self._asked.add(headers, connections_and_echoes(headers), clock, self._packets),
            self._stamped.add(headers, timestamps(headers), clock, self._packets),
        ]
        self.clock_ns = int(clock[-1])
        self._packets += len(headers)
        if self._packets % PIECE == 0:
            self._asked.make_room()
            self._stamped.make_room()
        return in_order(np.concatenate(found))

    def _advance(self, now: int) -> NDArray[np.void]:
        self.clock_ns = now
        return in_order(np.concatenate((self._asked.advance(now), self._stamped.advance(now))))
