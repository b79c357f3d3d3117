"""Labeling functions for flows: attacks as an expert would tell them, without a single label.

They vote on rows of flow datasets (`columns`) and may look at what no network does: ports and
addresses. The numbers are those of people, not of a fit: how few packets a scan's flow has, how
many flows a second no home begins. Which flow context is meant is said in `docs/semantics.md` 9:
``srv``, ``src`` and ``dst`` count the flows to one service, from one source and to one
destination that began in the second, or the ten seconds, before.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch
from sensor.packets.headers import TCP, UDP
from trainer.weak.functions import ABSTAIN, Columns, Task, labeling_function

SYN_DOS = Task("syn_dos")
SSDP_FLOOD = Task("ssdp_flood")
SCAN = Task("scan")

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
SSDP = 1900

_SHAPE = ("protocol", "length", "direction", "tcp_flags", "payload_length")
_ENDS = ("source_port", "destination_port", "protocol")

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


def _describes(given: Columns) -> NDArray[np.bool_]:
    """UDP that begins with as many bytes as a device needs to say what it is."""
    length = given["payload_length"][:, 0]
    describes: NDArray[np.bool_] = (given["protocol"] == UDP) & (length >= 150) & (length <= 500)
    return describes


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


@labeling_function(SSDP_FLOOD, reads=(*_ENDS, "srv_10s", "dst_10s"), confidence=0.85)
def ssdp_among_many(given: Columns) -> Votes:
    """UDP from or to port 1900, with twenty other flows to the destination in ten seconds."""
    port = (given["source_port"] == SSDP) | (given["destination_port"] == SSDP)
    many = np.maximum(given["srv_10s"], given["dst_10s"]) >= 20
    return _only((given["protocol"] == UDP) & port & many)


@labeling_function(SSDP_FLOOD, reads=(*_ENDS, "payload_length", "dst_10s"), confidence=0.85)
def ssdp_replies_unasked(given: Columns) -> Votes:
    """Answers from port 1900, as long as descriptions of devices are, and many to one host."""
    reply = _describes(given) & (given["source_port"] == SSDP)
    return _only(reply & (given["dst_10s"] >= 50))


@labeling_function(
    SSDP_FLOOD,
    reads=(*_ENDS, "direction", "length", "payload_length", "src_10s", "dst_10s"),
    confidence=0.75,
)
def ssdp_replies_from_any_port(given: Columns) -> Votes:
    """The same from another port, as some devices answer: several, to a host that never asked."""
    silent = ~(given["direction"] == -1).any(axis=1) & (given["length"] >= 3)
    many = np.maximum(given["src_10s"], given["dst_10s"]) >= 50
    high = (given["source_port"] >= 1_024) & (given["destination_port"] >= 1_024)
    return _only(_describes(given) & silent & many & high)


@labeling_function(SSDP_FLOOD, reads=(*_ENDS, "srv_1s"), confidence=0.8)
def ssdp_searched_by_hundreds(given: Columns) -> Votes:
    """A search at one device's port 1900 among ten others in a second: reflection."""
    search = (given["protocol"] == UDP) & (given["destination_port"] == SSDP)
    return _only(search & (given["srv_1s"] >= 10))


@labeling_function(SSDP_FLOOD, reads=(*_ENDS, "payload_length"), confidence=0.95)
def no_ssdp_elsewhere(given: Columns) -> Votes:
    """Neither end is port 1900 of UDP, and nothing looks like an answer."""
    port = (given["source_port"] == SSDP) | (given["destination_port"] == SSDP)
    return _never((given["protocol"] != UDP) | ~(port | _describes(given)))


@labeling_function(SSDP_FLOOD, reads=("srv_10s", "dst_10s"), confidence=0.8)
def no_ssdp_flood_alone(given: Columns) -> Votes:
    """Hardly another flow goes to the destination."""
    return _never(np.maximum(given["srv_10s"], given["dst_10s"]) <= 5)


@labeling_function(SCAN, reads=(*_SHAPE, "src_1s", "srv_10s"), confidence=0.9)
def scan_refused(given: Columns) -> Votes:
    """Refused at once, of a source that asks fifty in a second, and nobody else the service."""
    refused = (given["direction"] == -1) & (given["tcp_flags"] & RST != 0)
    many = (given["src_1s"] >= 50) & (given["srv_10s"] <= 2)
    return _only(_opens(given) & refused.any(axis=1) & ~_talks(given) & many)


@labeling_function(SCAN, reads=(*_SHAPE, "src_10s", "srv_10s"), confidence=0.8)
def scan_unanswered(given: Columns) -> Votes:
    """A SYN without an answer, of a source that asks a hundred services in ten seconds."""
    silent = ~(given["direction"] == -1).any(axis=1)
    return _only(_opens(given) & silent & (given["src_10s"] >= 100) & (given["srv_10s"] <= 2))


@labeling_function(SCAN, reads=(*_SHAPE, "src_10s", "dst_10s", "srv_10s"), confidence=0.75)
def scan_of_one_host(given: Columns) -> Votes:
    """Of a source that asks one host for a hundred services in ten seconds."""
    one = np.minimum(given["src_10s"], given["dst_10s"]) >= 100
    return _only(_opens(given) & ~_talks(given) & one & (given["srv_10s"] <= 2))


@labeling_function(SCAN, reads=_SHAPE, confidence=0.85)
def no_scan_talks(given: Columns) -> Votes:
    """Both sides say something."""
    return _never(_talks(given))


@labeling_function(SCAN, reads=_SHAPE, confidence=0.8)
def no_scan_without_syn(given: Columns) -> Votes:
    """No TCP that begins with a SYN, as nearly all scans are."""
    return _never(~_opens(given))


@labeling_function(SCAN, reads=("src_10s",), confidence=0.8)
def no_scan_alone(given: Columns) -> Votes:
    """The source has begun fewer than ten other flows in ten seconds."""
    return _never(given["src_10s"] < 10)


@labeling_function(SCAN, reads=("srv_10s",), confidence=0.8)
def no_scan_of_a_used_service(given: Columns) -> Votes:
    """Others go to the same service."""
    return _never(given["srv_10s"] > 10)
