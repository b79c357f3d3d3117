"""Round trips of handshakes in committed captures, as tshark has them."""

import shutil

import pytest
from command import ROOT
from initial_rtts import Handshakes, handshakes

CAPTURES = ROOT / "tests" / "captures"


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark")
@pytest.mark.parametrize(
    ("name", "connections"), [("full-length", 48), ("seven-tasks", 200), ("demo", 70)]
)
def test_both_parts_make_tsharks_initial_rtt_to_the_nanosecond(name, connections):
    found = handshakes(CAPTURES / f"{name}.pcap")
    assert found == Handshakes(connections, connections, connections, ambiguous=0)
