"""Small labelled recordings, drawn from a seed: the shapes of traffic without its variety.

Enough for the trainer's parts to be tried together in seconds; no figure of merit means anything.
"""

import random
from pathlib import Path

from frames import ACK, NANOS_LE, PSH, SYN, tcp_frame, udp_frame, write_pcap

START_S = 1_700_000_000
HEADER = "start,end,src,src_port,dst,dst_port,proto,task,value"
SERVER, FLOODED, REFLECTED, TLS_SERVER = "10.0.0.2", "10.0.0.80", "10.0.0.90", "10.0.0.43"


def toy_recording(folder: Path, seed: int, *, attacks: bool = True, syn_payload: int = 0) -> Path:
    """Writes ``folder/capture.pcap`` and ``labels.csv``: two minutes, each attack once.

    SYNs of the flood carry `syn_payload` bytes: by that alone a leaky tool is known.
    """
    rng = random.Random(seed)
    began = START_S + 1000 * seed
    packets: list[tuple[int, bytes]] = []
    rows = ["# covered: syn_dos,ssdp_flood,ssl_renegotiation", HEADER]

    def conversation(start, client, port, server, server_port, sizes, gap_s):
        time = start
        first = [(SYN, 0, True), (SYN | ACK, 0, False), (ACK, 0, True)]
        for flags, size, forth in [*first, *((ACK | PSH, size, size % 2 == 0) for size in sizes)]:
            ends = (client, port, server, server_port)
            ends = ends if forth else (*ends[2:], *ends[:2])
            packets.append((time, tcp_frame(*ends, flags, bytes(size))))
            time += int(1e9 * gap_s * rng.uniform(0.5, 1.5))

    for _ in range(60):
        start = int(1e9 * rng.uniform(0, 110))
        sizes = [rng.randrange(20, 1200) for _ in range(rng.randrange(2, 30))]
        server_port = rng.choice([80, 443, 1883])
        port = rng.randrange(20_000, 60_000)
        conversation(
            start, f"10.0.0.{rng.randrange(10, 20)}", port, SERVER, server_port, sizes, 0.1
        )
        if rng.random() < 0.5:
            ends = ("10.0.0.7", rng.randrange(20_000, 60_000), "239.255.255.250", 1900)
            packets.append((start, udp_frame(*ends, bytes(100))))
    if attacks:
        for number in range(600):
            start = int(10e9 + 5e9 * number / 600)
            ends = (f"198.51.100.{rng.randrange(1, 250)}", 1024 + number, FLOODED, 80)
            packets.append((start, tcp_frame(*ends, SYN, bytes(syn_payload))))
            ends = ("10.0.0.91", 1900, REFLECTED, 20_000 + number)
            packets.append((start + int(30e9), udp_frame(*ends, bytes(rng.choice([280, 300])))))
        rows += [
            _label(began + 10, began + 15, FLOODED, 80, "tcp", "syn_dos"),
            _label(began + 40, began + 45, REFLECTED, "*", "udp", "ssdp_flood"),
        ]
        for number in range(10):
            sizes = [rng.randrange(20, 1200) for _ in range(20)]
            sizes += [value for _ in range(40) for value in (200, 91, 120, 61)]
            start = int(70e9 + number * 1e9)
            conversation(start, "10.0.0.66", 44_444 + number, TLS_SERVER, 443, sizes, 0.01)
        rows.append(_label(began + 69, began + 80, TLS_SERVER, 443, "tcp", "ssl_renegotiation"))
    packets.sort()
    folder.mkdir(parents=True)
    times = [began * 10**9 + time for time, _ in packets]
    write_pcap(folder / "capture.pcap", [frame for _, frame in packets], times, NANOS_LE)
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def _label(start, end, address, port, protocol, task):
    return f"{start},{end},*,*,{address},{port},{protocol},{task},1"
