"""AfterImage: what Kitsune knows about a packet, 115 damped statistics of the streams it is in.

Y. Mirsky, T. Doitshman, Y. Elovici, A. Shabtai: Kitsune: An Ensemble of Autoencoders for Online
Network Intrusion Detection. NDSS 2018, section IV and table II.

Of every packet it is told what its streams look like with it, in five windows each (`damped`):
the packets of its sender (twice: the paper tells an address behind a MAC address from an address,
and the sensor's columns have no MAC), of the channel from its sender to its receiver, the gaps
between that channel's packets, and the packets of its socket. Channels and sockets are held
against the stream that goes the other way as well. As in the rows that the authors published, the
spread of sizes is a variance in the first two and of gaps, and a standard deviation in the others.

What differs from the authors' code, on purpose:

- a size is the IP length: that of the frame tells captures apart, not attacks;
- a socket is the sensor's five-tuple, so it holds the protocol as well;
- time is the flow clock (`docs/semantics.md` 1), which does not run backwards;
- the first packet of a channel has the gap 0; the authors' rows give it its absolute time;
- a variance or a residual that is nothing but rounding is 0;
- products of residuals enter a covariance once and are damped like all else: in the authors' rows
  they enter twice, and are damped by every second gap three times and by the others once.

All else is equal to the authors' rows to within the nanosecond of our times
(`tests/trainer/test_afterimage_published.py`).
"""

from dataclasses import replace

import numpy as np

from sensor.flows.epochs import part_of
from sensor.flows.index import FIRST_SLOT, KeyIndex
from sensor.flows.key import KEY_WORDS, five_tuple
from sensor.packets.headers import Headers
from trainer.baselines.damped import (
    DECAYS,
    NEVER,
    ROUNDING,
    Array,
    Index,
    Runs,
    damped,
    moments,
    seconds_between,
)

ONE_WAY = ("weight", "mean", "variance")
TWO_WAY = ("weight", "mean", "std", "magnitude", "radius", "covariance", "pcc")
FAMILIES = {"MI": ONE_WAY, "H": ONE_WAY, "HH": TWO_WAY, "HH_jit": ONE_WAY, "HpHp": TWO_WAY}

FEATURES = tuple(
    f"{family}_L{decay:g}_{statistic}"
    for family, statistics in FAMILIES.items()
    for decay in DECAYS
    for statistic in statistics
)
"""Names of the statistics, in the order of the published data sets.

Of sizes in bytes and, in ``HH_jit``, of gaps in seconds. With μ and σ² of a stream and μ' and σ'²
of the one that goes the other way, `magnitude` is √(μ² + μ'²), `radius` √(σ⁴ + σ'⁴), `covariance`
an approximation in bytes² (`_Pairs`), and `pcc` that by σσ', or 0; it may lie beyond ±1.
"""

STREAMS = 65_536
"""Senders, channels and sockets (both ways as one) that are remembered at once, of each kind."""

PIECE_PACKETS = 4_096
"""Packets that are taken at once; at every multiple of them room is made for as many streams."""


class AfterImage:
    """Statistics of the packets of a capture; the same whatever the blocks in which they come."""

    def __init__(self, streams: int = STREAMS) -> None:
        """Begins without memory.

        Args:
            streams: of each kind that are remembered at once, at least two pieces' packets. If
                there are more, the half that has been silent for longest is forgotten.
        """
        if streams < 2 * PIECE_PACKETS:
            raise ValueError(f"AfterImage remembers at least {2 * PIECE_PACKETS:,} streams")
        self._streams = streams
        self.restart()

    def restart(self) -> None:
        """Forgets everything: another capture begins, or the clock was set back."""
        self._clock_ns = 0
        self._packets = 0
        self._senders = _Pairs(self._streams)
        self._channels = _Pairs(self._streams, gaps=True)
        self._sockets = _Pairs(self._streams)

    def add(self, headers: Headers) -> Array:
        """Statistics ``(packets, 115)`` of the packets of a block, each as of its arrival."""
        parts = [np.zeros((0, len(FEATURES)))]
        done = 0
        while done < len(headers):
            stop = done + PIECE_PACKETS - self._packets % PIECE_PACKETS
            piece = part_of(headers, slice(done, stop))
            parts.append(self._add(piece))
            done += len(piece)
            self._packets += len(piece)
            if self._packets % PIECE_PACKETS == 0:
                for each in (self._senders, self._channels, self._sockets):
                    each.make_room()
        return np.concatenate(parts)

    def _add(self, headers: Headers) -> Array:
        clock = np.maximum.accumulate(np.maximum(headers.timestamp_ns, self._clock_ns))
        self._clock_ns = int(clock[-1])
        none = np.zeros(len(headers), np.uint16)
        hosts = replace(
            headers, source_port=none, destination_port=none, protocol=none.astype(np.uint8)
        )
        senders = replace(
            hosts, destination_high=hosts.source_high, destination_low=hosts.source_low
        )
        size = headers.ip_length.astype(np.float64)
        sender = self._senders.one_way(senders, clock, size)
        channel, gaps = self._channels.two_way(hosts, clock, size)
        socket, _ = self._sockets.two_way(headers, clock, size)
        each = (sender, sender, channel, gaps, socket)
        return np.concatenate(
            # (statistics, decays, packets): in a packet's row statistics are the faster index
            [part.transpose(2, 1, 0).reshape(size.size, -1) for part in each],
            axis=1,
        )


class _Pairs:
    """Streams, each with the one that goes the other way; stream 2s + side has slot s.

    The covariance is the authors' approximation: a packet's difference from its stream's mean is
    multiplied with that of the last packet that went the other way, damped to now; the products'
    damped sum over both streams is divided by the sum of the streams' weights.
    """

    def __init__(self, slots: int, *, gaps: bool = False) -> None:
        size = slots + FIRST_SLOT
        self._index = KeyIndex(slots, KEY_WORDS)
        self._number = np.full(size, -1, np.int64)
        self._streams = 0
        self._gaps = gaps
        # sums of weights, sizes and their squares, then of gaps and theirs
        self._sums = np.zeros((2 * size, 5 if gaps else 3, len(DECAYS)))
        self._last_ns = np.full(2 * size, NEVER, np.int64)
        # weight, mean, variance, difference from the mean as of a stream's last packet
        self._memory = np.zeros((2 * size, 4, len(DECAYS)))
        self._products = np.zeros((size, 1, len(DECAYS)))

    def make_room(self) -> None:
        """Forgets streams if there is no room for those of another piece."""
        if self._index.free >= PIECE_PACKETS:
            return
        live = np.flatnonzero(self._number >= 0)
        last_ns = self._last_ns.reshape(-1, 2).max(axis=1)[live]
        chosen = live[np.lexsort((self._number[live], last_ns))[: live.size // 2]]
        self._index.delete(chosen.astype(np.int32))
        self._number[chosen] = -1
        self._products[chosen] = 0
        for stream in (2 * chosen, 2 * chosen + 1):
            self._sums[stream] = 0
            self._memory[stream] = 0
            self._last_ns[stream] = NEVER

    def one_way(self, headers: Headers, clock: Index, size: Array) -> Array:
        """`ONE_WAY` statistics ``(3, decays, packets)``; arguments as of `two_way`."""
        slot, side = self._find(headers)
        sums = self._add(2 * slot + side, clock, size)
        return np.stack([sums[0], *moments(sums)])

    def two_way(self, headers: Headers, clock: Index, size: Array) -> tuple[Array, Array]:
        """`TWO_WAY` statistics ``(7, decays, packets)``, and `ONE_WAY` ones of gaps or nothing.

        Args:
            headers: packets whose five-tuple, as it stands there, is the pair's key.
            clock: ``(packets,)`` nanoseconds, ascending.
            size: ``(packets,)`` bytes.
        """
        slot, side = self._find(headers)
        pairs = Runs.of(slot)
        order = pairs.order
        stream = (2 * slot + side)[order]
        before_ns, memory = self._last_ns[stream ^ 1], self._memory[stream ^ 1]
        pair_ns = self._last_ns[2 * pairs.stream + np.array([[0], [1]])].max(axis=0)
        sums = self._add(2 * slot + side, clock, size)
        mean, variance = moments(sums[:3])
        residual = size - mean
        residual[np.abs(residual) <= ROUNDING * size] = 0
        own = np.stack([sums[0], mean, variance, residual])[:, :, order]

        last, inside = pairs.last_of_other_side(stream & 1)
        now = clock[order]
        other = np.where(inside, own[:, :, last], memory.transpose(1, 2, 0))
        other_ns = np.where(inside, now[last], before_ns)
        silent = np.where(other_ns == NEVER, 0.0, seconds_between(other_ns, now))
        # of a stream that has several packets here, the last one's remains
        self._memory[stream] = own.transpose(2, 0, 1)

        elapsed = pairs.elapsed(clock, pair_ns)
        left = damped(silent)
        products = pairs.sums(elapsed, (own[3] * left * other[3])[None], self._products)[0]
        weight = own[0] + left * other[0]
        covariance = products / weight
        spread = np.sqrt(own[2] * other[2])
        pcc = np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)
        told = np.stack(
            [
                own[0],
                own[1],
                np.sqrt(own[2]),
                np.hypot(own[1], other[1]),
                np.hypot(own[2], other[2]),
                covariance,
                pcc,
            ]
        )
        result = np.empty_like(told)
        result[:, :, order] = told
        gaps = [sums[0], *moments(sums[[0, 3, 4]])] if self._gaps else np.zeros((0, *mean.shape))
        return result, np.asarray(gaps)

    def _find(self, headers: Headers) -> tuple[Index, Index]:
        """Slots of the packets, and their sides: 0 from the lower endpoint, else 1."""
        words, forward = five_tuple(headers)
        found, _ = self._index.find(words, headers.version == 6)
        slot = found.astype(np.int64)
        first = np.unique(slot, return_index=True)[1]
        first = np.sort(first[self._number[slot[first]] < 0])
        # by first packets: the index gives its slots in an order that is never the same
        self._number[slot[first]] = self._streams + np.arange(first.size)
        self._streams += first.size
        return slot, np.where(forward, 0, 1)

    def _add(self, stream: Index, clock: Index, size: Array) -> Array:
        """Sums ``(quantities, decays, packets)`` as of each packet."""
        runs = Runs.of(stream)
        elapsed = runs.elapsed(clock, self._last_ns[runs.stream])
        sizes = size[runs.order]
        values = [np.ones(size.size), sizes, sizes * sizes]
        if self._gaps:
            values += [elapsed, elapsed * elapsed]
        sums = runs.sums(elapsed, np.stack(values)[:, None, :], self._sums)
        self._last_ns[runs.stream] = clock[runs.order[runs.stop - 1]]
        result = np.empty_like(sums)
        result[:, :, runs.order] = sums
        return result
