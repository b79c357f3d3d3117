"""The proof over whole archives, run on archives of one small capture each."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from agreement_proof import ARCHIVES, main
from frames import ACK, SYN, ipv4, pcap_bytes, tcp_frame, udp

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="needs Debian's tshark")

CUT = tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, ACK)[:53]
LATER = b"\x02" * 12 + b"\x08\0" + ipv4(udp("10.0.0.1", 3, "10.0.0.2", 4), 17, "10.0.0.1",
                                        "10.0.0.2", fragment=185)  # fmt: skip


def archives(folder: Path) -> Path:
    """Data of four archives: a good capture, one of another link type, one with a text beside."""
    frames = [tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, SYN), CUT, LATER]
    good, other = pcap_bytes(frames), pcap_bytes(frames, link_type=192)
    for archive in ARCHIVES:
        with tarfile.open(folder / f"{archive}.tar.xz", "w:xz") as tar:
            members = {
                f"{archive}.pcap": other if archive == "ndpi" else good,
                "labels.csv": b"a,b",
            }
            for name, octets in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(octets)
                tar.addfile(member, io.BytesIO(octets))
    return folder


def test_proof_is_complete_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data, store, out = archives(tmp_path), tmp_path / "store", tmp_path / "page.md"
    arguments = ["--data", str(data), "--store", str(store), "--out", str(out), "--jobs", "1"]
    assert main(arguments) == 0
    page = out.read_text(encoding="utf-8")
    # Packets, decoded, rows of each key, and rows that differ at each size.
    assert "| security | 1 | 3 | 2 | 2 | 2 | 1 | 1 | 0 | 0 | 0 | 0 |" in page
    assert "`ndpi/ndpi.pcap`: the sensor does not take the file (has link type 192" in page
    assert "| security/security.pcap | 2 | 1 | 1 later fragment |" in page
    (state,) = store.glob("*.jsonl")
    lines = state.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 5 * len(ARCHIVES)
    # An interrupt leaves a torn line; it and what was not begun are done by the next run.
    state.write_text("\n".join([*lines[:7], lines[7][:40]]), encoding="utf-8")
    assert main(arguments) == 0
    assert out.read_text(encoding="utf-8") == page
    again = state.read_text(encoding="utf-8").splitlines()
    assert again[:7] == lines[:7]
    assert sorted(again) == sorted(lines)


def test_a_difference_is_told_and_is_the_status(tmp_path: Path) -> None:
    data, store, out = archives(tmp_path), tmp_path / "store", tmp_path / "page.md"
    arguments = ["--data", str(data), "--store", str(store), "--out", str(out), "--jobs", "1"]
    main(arguments)
    (state,) = store.glob("*.jsonl")
    first, *others = state.read_text(encoding="utf-8").splitlines()
    wrong = json.loads(first) | {"differing": ["flow 7 row 0: direction"], "different": 3}
    state.write_text("\n".join([json.dumps(wrong), *others, ""]), encoding="utf-8")
    assert main(arguments) == 1
    assert "**Unexplained**" in out.read_text(encoding="utf-8")
    assert "flow 7 row 0: direction" in out.read_text(encoding="utf-8")
