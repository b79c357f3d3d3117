"""Labeling functions for flows: attacks as an expert would tell them, without a single label.

They vote on rows of flow datasets (`columns`) and may look at what no network does: ports,
addresses, and the rows around a row. The numbers are those of people, not of a fit: how many ports
of a host nobody asks for by chance, how many flows a second no home begins. Which flow context is
meant is said in `docs/semantics.md` 9: ``srv``, ``src`` and ``dst`` count the flows to one service,
from one source and to one destination that began in the second, or the ten seconds, before.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch
from sensor.packets.headers import TCP, UDP
from trainer.weak.counting import Numbers, count_around, first_of, numbered
from trainer.weak.functions import ABSTAIN, Columns, Task, labeling_function

SYN_DOS = Task("syn_dos")
SSDP_FLOOD = Task("ssdp_flood")
SCAN = Task("scan")

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
SSDP = 1900

ROWS = 4_096
"""Rows before and after a row among which is counted."""

SCAN_NS = 300_000_000_000
"""What belongs to one scan: five minutes, as in Zeek's `scan.zeek`."""

SCANNED_PORTS, SCANNED_HOSTS = 15, 25
"""Ports of one host, and hosts for one port, that only a scanner asks for in vain; Zeek's too."""

SCANNING_PORT = 5
"""Services that are asked from one port; connections have ports of their own."""

SSDP_NS = 10_000_000_000
"""What belongs to one search: it is answered within 5 s (UPnP Device Architecture 2.0, 1.3.2)."""

SSDP_MANY = 20
"""Searches in one name, or answers to one, that no home sees in that time."""

_SHAPE = ("protocol", "length", "direction", "tcp_flags", "payload_length")
_HOSTS = ("version", "source_high", "source_low", "destination_high", "destination_low")
_AROUND = (*_SHAPE, *_HOSTS, "source_port", "destination_port", "row", "decided_ns")

Votes = NDArray[np.integer]


def columns(batch: SequenceBatch) -> Columns:
    """What labeling functions may read of rows.

    Returns:
        Every column of `SequenceBatch` under its name, and the columns of ``context`` under
        theirs (`CONTEXT_COLUMNS`).
    """
    every = {name: getattr(batch, name) for name in SequenceBatch.__slots__}
    return every | {name: batch.context[:, k] for k, name in enumerate(CONTEXT_COLUMNS)}


def _only(yes: NDArray[np.bool_]) -> Votes:
    return np.where(yes, 1, ABSTAIN)


def _never(no: NDArray[np.bool_]) -> Votes:
    return np.where(no, 0, ABSTAIN)


def _opens(given: Columns) -> NDArray[np.bool_]:
    """TCP whose first packet is a SYN."""
    first = given["tcp_flags"][:, 0]
    opens: NDArray[np.bool_] = (given["protocol"] == TCP) & (first & (SYN | ACK) == SYN)
    return opens


def _completed(given: Columns) -> NDArray[np.bool_]:
    """The originator has acknowledged the handshake: an ACK of its without SYN and RST."""
    flags, own = given["tcp_flags"], given["direction"] == 1
    completed: NDArray[np.bool_] = (own & (flags & (SYN | ACK | RST) == ACK)).any(axis=1)
    return completed


def _talks(given: Columns) -> NDArray[np.bool_]:
    """Both sides have sent payload."""
    payload, direction = given["payload_length"] > 0, given["direction"]
    own, other = (payload & (direction == side) for side in (1, -1))
    talks: NDArray[np.bool_] = own.any(axis=1) & other.any(axis=1)
    return talks


def _silent(given: Columns) -> NDArray[np.bool_]:
    """The responder has said nothing."""
    silent: NDArray[np.bool_] = ~(given["direction"] == -1).any(axis=1)
    return silent


def _hosts(given: Columns) -> tuple[Numbers, Numbers]:
    """Sources and destinations as numbers; an address has one number in both."""
    count = len(given["version"])
    sides = [
        np.concatenate([given[f"source_{word}"], given[f"destination_{word}"]])
        for word in ("high", "low")
    ]
    both = numbered(np.tile(given["version"], 2), *sides)
    return both[:count], both[count:]


def _to_a_group(given: Columns) -> NDArray[np.bool_]:
    """The destination is no single host."""
    low = given["destination_low"]
    four = (low >> np.uint64(28) == 0xE) | (low == 0xFFFFFFFF)
    six = given["destination_high"] >> np.uint64(56) == 0xFF
    group: NDArray[np.bool_] = np.where(given["version"] == 4, four, six)
    return group


@labeling_function(SYN_DOS, reads=(*_SHAPE, "srv_1s"), confidence=0.9)
def syn_to_a_busy_service(given: Columns) -> Votes:
    """A handshake that is never completed, with twenty others to the service in a second."""
    return _only(_opens(given) & ~_completed(given) & (given["srv_1s"] >= 20))


@labeling_function(SYN_DOS, reads=(*_SHAPE, "srv_10s"), confidence=0.8)
def syn_among_hundreds(given: Columns) -> Votes:
    """A SYN and nothing of the originator's beyond it, one of a hundred in ten seconds."""
    alone = (given["direction"] == 1).sum(axis=1) <= 2
    return _only(_opens(given) & alone & ~_talks(given) & (given["srv_10s"] >= 100))


@labeling_function(SYN_DOS, reads=_SHAPE, confidence=0.85)
def no_syn_flood_talks(given: Columns) -> Votes:
    """Both sides say something, or it is no TCP: no part of a SYN flood."""
    return _never(_talks(given) | (given["protocol"] != TCP))


@labeling_function(SYN_DOS, reads=("srv_1s", "srv_10s"), confidence=0.8)
def no_syn_flood_alone(given: Columns) -> Votes:
    """Hardly another flow goes to the service."""
    return _never((given["srv_1s"] <= 2) & (given["srv_10s"] <= 10))


def _searches(given: Columns) -> NDArray[np.bool_]:
    """UDP to port 1900, but no announcement: what is long and goes to the group is one."""
    announces = _to_a_group(given) & (given["payload_length"][:, 0] >= 150)
    own = given["direction"][:, 0] == 1
    port = given["destination_port"] == SSDP
    searches: NDArray[np.bool_] = (given["protocol"] == UDP) & port & own & ~announces
    return searches


def _answers(given: Columns) -> NDArray[np.bool_]:
    """Datagrams as long as descriptions of devices, to one host that says nothing.

    From port 1900, or several from a port of their own, as some devices answer; a stream of them
    would fill the row.
    """
    length = given["payload_length"][:, 0]
    describes = (given["protocol"] == UDP) & (length >= 150) & (length <= 500)
    several = (given["length"] >= 3) & (given["length"] <= 12)
    high = (given["source_port"] >= 1_024) & (given["destination_port"] >= 1_024) & several
    ports = (given["destination_port"] != SSDP) & ((given["source_port"] == SSDP) | high)
    begins = given["sequence_index"] == 0
    answers: NDArray[np.bool_] = describes & ports & begins & _silent(given) & ~_to_a_group(given)
    return answers


def _discovery(given: Columns) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Numbers, Numbers]:
    """Searches and answers, and in what company.

    Returns:
        Which rows are searches and which are answers. Of each of either the number of searches
        in the name of who searches or is answered; and, of each answer, the number of those of
        the same device to the same port, or of hosts that it answers, whichever is greater.
    """
    source, destination = _hosts(given)
    searches, answers = _searches(given), _answers(given)
    first, times = given["row"] == 0, given["decided_ns"]

    def count(asked: Numbers, there: Numbers) -> Numbers:
        return count_around(asked, there, times, ROWS, SSDP_NS)

    name = np.where(searches, source, np.where(answers, destination, -1))
    to_port = np.where(answers, numbered(source, destination, given["destination_port"]), -1)
    device = np.where(answers, source, -1)
    new = first_of(np.where(answers, numbered(source, destination), -1), ROWS)
    return (
        searches,
        answers,
        count(name, np.where(searches & first, source, -1)),
        np.maximum(
            count(to_port, np.where(first, to_port, -1)), count(device, np.where(new, device, -1))
        ),
    )


_DISCOVERY = (*_AROUND, "sequence_index", "srv_1s", "srv_10s")


@labeling_function(SSDP_FLOOD, reads=_DISCOVERY, before=2 * ROWS, after=ROWS, confidence=0.85)
def ssdp_searched_by_many(given: Columns) -> Votes:
    """A search among many: in one name, or at one device, or for everybody."""
    searches, _, named, _ = _discovery(given)
    at_once = given["srv_1s"] >= np.where(_to_a_group(given), SSDP_MANY, SSDP_MANY // 2)
    of_one = (given["srv_10s"] >= SSDP_MANY) & ~_to_a_group(given)
    return _only(searches & ((named >= SSDP_MANY) | at_once | of_one))


@labeling_function(SSDP_FLOOD, reads=_DISCOVERY, before=2 * ROWS, after=ROWS, confidence=0.85)
def ssdp_answered_by_many(given: Columns) -> Votes:
    """An answer to one who searches too often, or of a device that answers too often."""
    _, answers, named, answered = _discovery(given)
    return _only(answers & ((named >= SSDP_MANY) | (answered >= SSDP_MANY)))


@labeling_function(SSDP_FLOOD, reads=_DISCOVERY, before=2 * ROWS, after=ROWS, confidence=0.85)
def no_ssdp_flood_of_few(given: Columns) -> Votes:
    """A search or an answer, and hardly others."""
    searches, answers, named, answered = _discovery(given)
    few = np.where(_to_a_group(given), given["srv_1s"], given["srv_10s"]) <= SSDP_MANY // 4
    asked = searches & few
    found = answers & (answered <= SSDP_MANY // 2)
    return _never((asked | found) & (named <= SSDP_MANY // 4))


@labeling_function(SSDP_FLOOD, reads=_DISCOVERY, confidence=0.85)
def no_ssdp_elsewhere(given: Columns) -> Votes:
    """Neither a search nor an answer."""
    return _never(~_searches(given) & ~_answers(given))


def _lone(given: Columns) -> NDArray[np.bool_]:
    """A short datagram or two to one host, and no answer."""
    few = (given["length"] <= 2) & (given["payload_length"][:, 0] < 150)
    lone: NDArray[np.bool_] = (given["protocol"] == UDP) & few & _silent(given)
    return lone & ~_to_a_group(given)


def _asks(given: Columns) -> tuple[NDArray[np.bool_], Numbers, Numbers, Numbers]:
    """What asks whether a service is there and goes no further, and in what company.

    Returns:
        Which rows do. Of each of these the number of services that its source has asked so from
        the same port; of ports that it has asked the same host for in vain; and of hosts that it
        has asked for the same port in vain.
    """
    source, destination = _hosts(given)
    refused = ((given["direction"] == -1) & (given["tcp_flags"] & RST != 0)).any(axis=1)
    in_vain = _opens(given) & ~_completed(given) & (_silent(given) | refused) | _lone(given)
    asks = in_vain | _opens(given) & ~_talks(given)
    port, protocol = given["destination_port"], given["protocol"]
    service = numbered(source, destination, port, protocol)

    def count(of: Numbers, which: NDArray[np.bool_]) -> Numbers:
        new = first_of(np.where(which, service, -1), ROWS)
        here, there = np.where(asks, of, -1), np.where(new, of, -1)
        return count_around(here, there, given["decided_ns"], ROWS, SCAN_NS)

    return (
        asks,
        count(numbered(source, given["source_port"], protocol), asks),
        count(numbered(source, destination, protocol), in_vain),
        count(numbered(source, port, protocol), in_vain),
    )


@labeling_function(SCAN, reads=_AROUND, before=2 * ROWS, after=ROWS, confidence=0.9)
def scan_from_one_port(given: Columns) -> Votes:
    """Asks from a port from which other services are asked: as scanners do that make packets."""
    asks, services, _, _ = _asks(given)
    return _only(asks & (services >= SCANNING_PORT))


@labeling_function(SCAN, reads=_AROUND, before=2 * ROWS, after=ROWS, confidence=0.9)
def scan_of_many(given: Columns) -> Votes:
    """Of a source that asks a host for many ports in vain, or many hosts for a port."""
    asks, _, ports, hosts = _asks(given)
    return _only(asks & ((ports >= SCANNED_PORTS) | (hosts >= SCANNED_HOSTS)))


@labeling_function(SCAN, reads=_SHAPE, confidence=0.85)
def no_scan_talks(given: Columns) -> Votes:
    """Both sides say something."""
    return _never(_talks(given))


@labeling_function(SCAN, reads=_AROUND, confidence=0.8)
def no_scan_elsewhere(given: Columns) -> Votes:
    """Neither TCP that begins with a SYN nor a datagram without an answer."""
    return _never(~_opens(given) & ~_lone(given))


@labeling_function(SCAN, reads=_AROUND, before=2 * ROWS, after=ROWS, confidence=0.8)
def no_scan_of_few(given: Columns) -> Votes:
    """Few of what the source asks for is asked in vain, and hardly anything from the same port."""
    _, services, ports, hosts = _asks(given)
    few = (ports <= SCANNED_PORTS // 3) & (hosts <= SCANNED_HOSTS // 3)
    return _never(few & (services <= SCANNING_PORT // 2))


@labeling_function(SCAN, reads=("srv_10s",), confidence=0.8)
def no_scan_of_a_used_service(given: Columns) -> Votes:
    """Others go to the same service."""
    return _never(given["srv_10s"] > 10)
