"""Real captures from outside the repository, for tests that are skipped where there are none."""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from reference import Frame, read_pcap

DATA = Path(__file__).parents[2] / "shared/data"
MAGICS = {bytes.fromhex(magic) for magic in ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d")}


def real_captures(archive: str, wanted: Sequence[str]) -> Iterator[tuple[str, list[Frame]]]:
    """Name and frames of each classic Ethernet capture whose name contains one of `wanted`."""
    path = DATA / f"{archive}.tar.xz"
    if not path.is_file():
        pytest.skip(f"needs ../shared/data/{path.name}")
    with tarfile.open(path) as tar:
        for member in tar:
            if not member.isfile() or not any(part in member.name for part in wanted):
                continue
            stream = tar.extractfile(member)
            octets = stream.read() if stream else b""
            # The link type is the last word of the file header; 1 in either byte order.
            if octets[:4] in MAGICS and octets[20:24] in {b"\1\0\0\0", b"\0\0\0\1"}:
                yield member.name, list(read_pcap(octets))
