"""What a program of other people's has sent: an independent count at the attacker's own interface.

nmap, hydra and their like do not say which packets they sent and when. So the attacker's host
watches its own interface while they run, and the attack's report is made of what it saw; the
labels are checked against it as against the floods' own counts.
"""

import contextlib
import ipaddress
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import TypeAlias

from trainer.lab.attack_report import AttackReport
from trainer.lab.network import cables
from trainer.lab.plan import Attack, Host, Plan

_OUTGOING = 4  # PACKET_OUTGOING of include/uapi/linux/if_packet.h
_EVERYTHING = 0x0003
"""ETH_P_ALL of include/uapi/linux/if_ether.h; no other protocol is shown what a host sends."""
_SYN, _ACK = 0x02, 0x10
_TICK_S = 0.2
LEARNING_S = 0.8
"""Time before the attack in which the flows are learnt that go on anyway: a server's answers, a
camera's stream."""
Flow: TypeAlias = tuple[str, bytes, bytes, int, int]

_PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp"}


@contextlib.contextmanager
def observed(
    plan: Plan, host: Host, attack: Attack, report: AttackReport, learning_s: float = LEARNING_S
) -> Iterator[None]:
    """Counts into the report what leaves `host` for the attack's flows, while the body runs.

    The body begins after the time of learning, which connections do not need.
    """
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING)) as watcher:
        watcher.bind((cables(plan)[host.name].far, _EVERYTHING))
        watcher.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        watcher.settimeout(_TICK_S)
        done = threading.Event()
        begin = time.monotonic() + learning_s
        thread = threading.Thread(
            target=_watch, args=(watcher, attack, report, begin, done), daemon=True
        )
        thread.start()
        try:
            time.sleep(learning_s)
            yield
        finally:
            time.sleep(_TICK_S)  # what is still in the socket's queue
            done.set()
            thread.join()


def _watch(
    watcher: socket.socket,
    attack: Attack,
    report: AttackReport,
    begin: float,
    done: threading.Event,
) -> None:
    wanted = {
        (claim.proto, socket.inet_aton(claim.dst.partition("/")[0]), claim.dst_port)
        for claim in attack.claims
        if claim.value == "1"
    }
    sources = [ipaddress.IPv4Network(prefix) for prefix in attack.sources]
    tuples: set[Flow] = set()
    known: set[Flow] = set()
    while not done.is_set():
        try:
            frame, address = watcher.recvfrom(2048)
        except TimeoutError:
            continue
        found = begun_flow(frame) if address[2] == _OUTGOING else None
        if found is None:
            continue
        proto, source, target, _, port = found
        if not any(ipaddress.IPv4Address(source) in prefix for prefix in sources):
            continue
        if time.monotonic() < begin:
            known.add(found)
        elif found not in known and {(proto, target, "*"), (proto, target, str(port))} & wanted:
            tuples.add(found)
            report.sent()
            report.flows = len(tuples)


def begun_flow(frame: bytes) -> Flow | None:
    """Protocol, source, destination, and both ports of a frame that may begin a flow.

    That is a SYN, any datagram, or an ICMP echo request (its ports are 0), in IPv4 over Ethernet;
    everything else is ``None``.
    """
    if len(frame) < 34 or frame[12:14] != b"\x08\x00":
        return None
    start = 14 + 4 * (frame[14] & 0x0F)
    proto = _PROTOCOLS.get(frame[23])
    body = frame[start:]
    if proto is None or len(body) < 8:
        return None
    if proto == "icmp":
        return (proto, frame[26:30], frame[30:34], 0, 0) if body[0] == 8 else None
    if proto == "tcp" and (len(body) < 20 or body[13] & (_SYN | _ACK) != _SYN):
        return None
    source_port, port = struct.unpack_from("!HH", body)
    return proto, frame[26:30], frame[30:34], source_port, port
