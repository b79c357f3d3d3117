"""Capture files read a second time, with dpkt's headers of records and blocks.

dpkt's own readers give times as floats, no wire lengths, and know one interface a file; so only
their headers are used. A damaged end is where the capture ends, as rule 2 has it.
"""

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import dpkt
from dpkt import pcap, pcapng
from reference_decode import SECOND_NS, Frame

NANOSECONDS = (pcap.TCPDUMP_MAGIC_NANO, pcap.PMUDPCT_MAGIC_NANO)
SWAPPED = (pcap.PMUDPCT_MAGIC, pcap.PMUDPCT_MAGIC_NANO)
MAGICS = (pcap.TCPDUMP_MAGIC, *NANOSECONDS, pcap.PMUDPCT_MAGIC)
BLOCKS = {
    "<": {
        pcapng.PCAPNG_BT_IDB: pcapng.InterfaceDescriptionBlockLE,
        pcapng.PCAPNG_BT_EPB: pcapng.EnhancedPacketBlockLE,
        pcapng.PCAPNG_BT_PB: pcapng.PacketBlockLE,
    },
    ">": {
        pcapng.PCAPNG_BT_IDB: pcapng.InterfaceDescriptionBlock,
        pcapng.PCAPNG_BT_EPB: pcapng.EnhancedPacketBlock,
        pcapng.PCAPNG_BT_PB: pcapng.PacketBlock,
    },
}
SIMPLE_PACKET_BLOCK = 3


def read_capture(capture: Path | bytes) -> Iterator[Frame] | None:
    """The frames of a pcap or pcapng file, also in gzip; None for anything else."""
    octets = capture if isinstance(capture, bytes) else capture.read_bytes()
    if octets[:2] == b"\x1f\x8b":
        octets = gzip.decompress(octets)
    if octets[:4] == b"\x0a\x0d\x0d\x0a":
        return _read_pcapng(octets)
    return read_pcap(octets) if int.from_bytes(octets[:4], "big") in MAGICS else None


def read_pcap(capture: Path | bytes) -> Iterator[Frame]:
    """The whole records of a classic pcap file."""
    octets = capture if isinstance(capture, bytes) else capture.read_bytes()
    magic = int.from_bytes(octets[:4], "big")
    swapped = magic in SWAPPED
    file_header = (pcap.LEFileHdr if swapped else pcap.FileHdr)(octets[:24])
    record_header = pcap.LEPktHdr if swapped else pcap.PktHdr
    unit_ns = 1 if magic in NANOSECONDS else 1_000
    at = 24
    while at + 16 <= len(octets):
        record = record_header(octets[at : at + 16])
        at += 16
        if at + record.caplen > len(octets):
            return
        time_ns = record.tv_sec * SECOND_NS + record.tv_usec * unit_ns
        link_type = file_header.linktype & 0xFFFF
        yield Frame(time_ns, octets[at : at + record.caplen], record.len, link_type)
        at += record.caplen


def _read_pcapng(octets: bytes) -> Iterator[Frame]:
    order, at, latest_ns = "<", 0, 0
    interfaces: list[tuple[int, int, int, int]] = []
    while at + 12 <= len(octets):
        if octets[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if octets[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, length = struct.unpack_from(order + "II", octets, at)
        block = octets[at : at + length]
        if length < 12 or len(block) < length:
            return
        at += length
        if kind == SIMPLE_PACKET_BLOCK:
            # dpkt has no simple packet blocks: they have no time, and their length is the wire's.
            (wire_length,) = struct.unpack_from(order + "I", block, 8)
            snap_length, link_type, *_ = interfaces[0]
            kept = min(wire_length, snap_length or wire_length)
            yield Frame(latest_ns, block[12 : 12 + kept], wire_length, link_type)
        elif kind in BLOCKS[order]:
            read = BLOCKS[order][kind](block)
            if kind == pcapng.PCAPNG_BT_IDB:
                interfaces.append(_interface(read, order))
                continue
            _, link_type, units_a_second, offset_seconds = interfaces[read.iface_id]
            units = read.ts_high << 32 | read.ts_low
            latest_ns = units * SECOND_NS // units_a_second + offset_seconds * SECOND_NS
            yield Frame(latest_ns, read.pkt_data, read.pkt_len, link_type)


def _interface(block: dpkt.Packet, order: str) -> tuple[int, int, int, int]:
    """Snap length, link type, units of a second, and seconds to be added."""
    units_a_second, offset_seconds = 1_000_000, 0
    for option in block.opts:
        if option.code == pcapng.PCAPNG_OPT_IF_TSRESOL:
            base = 2 if option.data[0] & 0x80 else 10
            units_a_second = base ** (option.data[0] & 0x7F)
        elif option.code == pcapng.PCAPNG_OPT_IF_TSOFFSET:
            (offset_seconds,) = struct.unpack(order + "q", option.data)
    return block.snaplen, block.linktype, units_a_second, offset_seconds
