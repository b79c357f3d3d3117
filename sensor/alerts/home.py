"""Which addresses are the operator's own, and which way an incident's flows go.

`docs/semantics.md` 30. It is looked up for positive rows only, and nothing but the words of an
alert depends on it. Columns only: in a flood, hundreds of thousands of rows a second are positive.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.event import DIRECTIONS, Address, FlowEvidence, HomeView
from sensor.alerts.positives import PositiveRows, group

PEERS = 32
"""Addresses inside that an incident remembers: half a kilobyte of each open incident."""

ON_LINK = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/32",  # unspecified: a host that asks for an address (RFC 1122, 3.2.1.3)
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local (RFC 3927)
            "224.0.0.0/4",  # multicast (RFC 5771)
            "255.255.255.255/32",
            "::/128",
            "::1/128",
            "fe80::/10",  # link-local (RFC 4291, 2.5.6)
            "ff00::/8",  # multicast (RFC 4291, 2.7)
        ),
    )
)
"""Networks that are inside everywhere, as they mean the link that is watched.

Without multicast, an SSDP flood to 239.255.255.250 would be one against somebody else.
"""

_WORD = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class RowEnds:
    """Where the ends of positive rows are; all columns have the order of `PositiveRows`.

    Attributes:
        direction: place among `DIRECTIONS`.
        peer_inside: whether the end that the incident is not about is inside.
        peer: its high and low words.
    """

    direction: NDArray[np.intp]
    peer_inside: NDArray[np.bool_]
    peer: tuple[NDArray[np.uint64], NDArray[np.uint64]]


class HomeNetworks:
    """The operator's networks, and `ON_LINK`.

    Networks hold addresses of their own IP version; an IPv4-mapped IPv6 address is one of IPv6.

    Attributes:
        networks: as they were stated.
    """

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        """Takes what is inside; networks may overlap."""
        self.networks = tuple(networks)
        stated = [*ON_LINK, *self.networks]
        four = collapse_addresses(each for each in stated if isinstance(each, IPv4Network))
        six = collapse_addresses(each for each in stated if isinstance(each, IPv6Network))
        self._masks = {
            4: [(int(each.netmask), int(each.network_address)) for each in four],
            6: [(int(each.netmask), int(each.network_address)) for each in six],
        }

    def holds(self, address: Address) -> bool:
        """Whether one address is inside."""
        version, high, low = address
        value = high << 64 | low
        return any(value & mask == prefix for mask, prefix in self._masks[version])

    def contains(
        self, version: NDArray[np.uint8], high: NDArray[np.uint64], low: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        """Which addresses are inside.

        Args:
            version: ``(rows,)`` IP versions, 4 or 6.
            high: ``(rows,)`` words of the addresses' upper halves, 0 in IPv4.
            low: ``(rows,)`` words of their lower halves.

        Returns:
            ``(rows,)``.
        """
        inside = np.zeros(version.size, np.bool_)
        for one_version, masks in self._masks.items():
            rows = np.flatnonzero(version == one_version)
            if not rows.size:
                continue
            words = high[rows], low[rows]
            found = np.zeros(rows.size, np.bool_)
            for mask, prefix in masks:
                found |= _under(words, mask, prefix)
            inside[rows] = found
        return inside

    def ends(self, rows: PositiveRows) -> RowEnds:
        """Where the ends of rows are."""
        source, destination, peer = rows.ends()
        direction = 2 * self.contains(*source).astype(np.intp) + self.contains(*destination)
        return RowEnds(direction, self.contains(*peer), (peer[1], peer[2]))


def _under(
    words: tuple[NDArray[np.uint64], NDArray[np.uint64]], mask: int, prefix: int
) -> NDArray[np.bool_]:
    """Which addresses of one version have the prefix; words that it leaves open are not read."""
    under = np.ones(words[0].size, np.bool_)
    for word, shift in zip(words, (64, 0), strict=True):
        if part := mask >> shift & _WORD:
            under &= word & np.uint64(part) == np.uint64(prefix >> shift & _WORD)
    return under


class HomeTally:
    """Counts of an open incident which way its flows go, and remembers its peers inside."""

    __slots__ = ("_flows", "_home", "_inside", "_peers")

    def __init__(self, home: HomeNetworks, address: Address) -> None:
        """Starts without flows; `address` is whom the incident is about."""
        self._home, self._inside = home, home.holds(address)
        self._flows = np.zeros(len(DIRECTIONS), np.int64)
        self._peers = [np.zeros(0, np.uint64)] * 2  # high and low words, in order of appearance

    def add(self, ends: RowEnds, counted: NDArray[np.intp]) -> None:
        """Adds the next rows; `counted` are those with which a flow is counted, ascending."""
        self._flows += np.bincount(ends.direction[counted], minlength=len(DIRECTIONS))
        new = counted[ends.peer_inside[counted]]
        if not new.size or self._peers[0].size == PEERS:
            return
        peers = [
            np.concatenate([known, word[new]])
            for known, word in zip(self._peers, ends.peer, strict=True)
        ]
        order, starts, _ = group(peers)
        first = np.sort(order[starts])[:PEERS]
        self._peers = [word[first] for word in peers]

    def view(self, shown: FlowEvidence) -> HomeView:
        """What an event tells; `shown` is the flow that it shows."""
        version = shown.version
        source = (version, shown.source_high, shown.source_low)
        destination = (version, shown.destination_high, shown.destination_low)
        place = 2 * self._home.holds(source) + self._home.holds(destination)
        words: list[list[Any]] = [word.tolist() for word in self._peers]
        return HomeView(
            inside=self._inside,
            direction=DIRECTIONS[place],
            flows=tuple(self._flows.tolist()),
            peers=tuple((version, high, low) for high, low in zip(*words, strict=True)),
        )
