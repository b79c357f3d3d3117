"""Peers of a live capture: ``python receivers.py KIND INTERFACE``, run by a peer's interpreter.

Each takes frames as its documentation shows first, looks at the five-tuple, and counts. It says
``ready``, and on SIGTERM prints how many packets it has dealt with by then.
"""

import importlib
import signal
import socket
import sys
from typing import Any

TUPLES: set[tuple[Any, ...]] = set()
handled = 0


def with_dpkt(interface: str) -> None:
    """A socket, and dpkt for every frame."""
    global handled  # noqa: PLW0603 -- read by the signal's handler
    dpkt: Any = importlib.import_module("dpkt")
    receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    receiver.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE, as large as our ring
    receiver.bind((interface, 3))
    ready()
    while True:
        packet = dpkt.ethernet.Ethernet(receiver.recv(65_536)).data
        if isinstance(packet, (dpkt.ip.IP, dpkt.ip6.IP6)):
            inner = packet.data
            ports = (getattr(inner, "sport", 0), getattr(inner, "dport", 0))
            TUPLES.add((packet.src, packet.dst, *ports, packet.p))
        handled += 1


def with_scapy(interface: str) -> None:
    """``sniff`` with a function for every packet."""
    scapy: Any = importlib.import_module("scapy.all")

    def take(packet: Any) -> None:
        global handled  # noqa: PLW0603
        layer = packet.getlayer(scapy.IP) or packet.getlayer(scapy.IPv6)
        if layer:
            ports = (getattr(layer.payload, "sport", 0), getattr(layer.payload, "dport", 0))
            TUPLES.add((layer.src, layer.dst, *ports))
        handled += 1

    scapy.sniff(iface=interface, prn=take, store=False, started_callback=ready)


def with_pyshark(interface: str) -> None:
    """``LiveCapture.sniff_continuously``."""
    global handled  # noqa: PLW0603
    pyshark: Any = importlib.import_module("pyshark")
    capture = pyshark.LiveCapture(interface=interface, use_json=False)
    ready()  # dumpcap takes a second more; the sender waits longer than that
    for packet in capture.sniff_continuously():
        layer = getattr(packet, "ip", None) or getattr(packet, "ipv6", None)
        transport = getattr(packet, (packet.transport_layer or "eth").lower(), None)
        if layer:
            TUPLES.add((layer.src, layer.dst, getattr(transport, "dstport", 0)))
        handled += 1


def ready() -> None:
    """Says so."""
    print("ready", flush=True)


def main() -> None:
    """Receives until SIGTERM."""

    def end(*_: object) -> None:
        # Whatever library is at work, nothing of it should be waited for.
        print(handled, flush=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.stdout.flush()
        signal.raise_signal(signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    kinds = {"dpkt": with_dpkt, "scapy": with_scapy, "pyshark": with_pyshark}
    kinds[sys.argv[1]](sys.argv[2])


if __name__ == "__main__":
    main()
