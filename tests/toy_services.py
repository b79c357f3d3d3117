"""Recordings of toy services in the form of the lab's, drawn from a seed.

Five services tell themselves apart by the size of their datagrams alone; how long a session takes
and how much it carries follow from its service.
"""

import random

from frames import NANOS_LE, udp_frame, write_pcap

SERVICES = ("documents", "drive", "music", "search", "video")
SESSIONS = 4
"""Of each service in a recording."""


def toy_services(folder, seed):
    """Writes ``folder/capture.pcap`` and ``labels.csv``: 20 sessions, and one that has no class."""
    rng = random.Random(seed)
    began = 1_700_000_000 + 1_000 * seed
    rows = [
        "# covered: syn_dos,traffic_class{" + "|".join(SERVICES) + "}",
        "start,end,src,src_port,dst,dst_port,proto,task,value",
    ]
    packets = []
    for number in range(SESSIONS * len(SERVICES) + 1):
        service = number % len(SERVICES)
        port, start = 40_000 + number, rng.uniform(0, 20)
        for k in range(rng.randrange(10, 30)):
            ends = ("10.0.0.7", port, "192.0.2.1", 443)
            ends = ends if k % 3 == 0 else (*ends[2:], *ends[:2])
            size = 100 * (1 + 2 * service) + rng.randrange(20)
            time = start + k * 0.01 * 4**service
            packets.append((int(1e9 * (began + time)), udp_frame(*ends, bytes(size))))
        if number < SESSIONS * len(SERVICES):
            rows.append(
                f"{began},{began + 100},10.0.0.7,{port},192.0.2.1,443,udp,traffic_class,"
                f"{SERVICES[service]}"
            )
    packets.sort()
    folder.mkdir(parents=True)
    write_pcap(
        folder / "capture.pcap",
        [each for _, each in packets],
        [time for time, _ in packets],
        NANOS_LE,
    )
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
