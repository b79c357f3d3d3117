"""What a live run captures from: what excludes each other, and where sockets come from."""

import contextlib
from dataclasses import replace

import pytest

from sensor.capture.tap import open_packet_socket
from sensor.errors import CaptureUnavailableError, UsageError
from sensor.service.config.setting_tables import Capture
from sensor.service.sources import Opener, require_sense

PLAIN = Capture(interfaces=("eth0",))


@pytest.mark.parametrize(
    ("capture", "record", "count"),
    [
        (replace(PLAIN, source="tshark"), "all.pcap", None),
        (replace(PLAIN, source="tshark", buffer_mib=4), None, None),
        (replace(PLAIN, source="tshark", interfaces=("eth0", "eth1")), None, None),
        (replace(PLAIN, source="tshark", tap="/run/tap.sock"), None, None),
        (replace(PLAIN, workers=2), "all.pcap", None),
        (replace(PLAIN, workers=2), None, 5),
        (replace(PLAIN, workers=2, source="tshark"), None, None),
        (replace(PLAIN, cut_off=True), "all.pcap", None),
        (replace(PLAIN, cut_off=True, workers=2), None, None),
        (replace(PLAIN, cut_off=True, interfaces=("eth0", "eth1")), None, None),
        (replace(PLAIN, cut_off=True, source="tshark"), None, None),
    ],
)
def test_what_excludes_each_other_is_refused(capture, record, count):
    with pytest.raises(UsageError):
        require_sense(capture, record, count)


@pytest.mark.parametrize(
    ("capture", "record", "count"),
    [
        (PLAIN, "all.pcap", 5),
        (replace(PLAIN, source="tshark"), None, 5),
        (replace(PLAIN, workers=2, interfaces=("eth0", "eth1"), buffer_mib=4), None, None),
        (replace(PLAIN, cut_off=True, tap="/run/tap.sock"), None, 5),
    ],
)
def test_the_rest_is_not(capture, record, count):
    require_sense(capture, record, count)


def test_without_a_tap_this_process_opens_sockets():
    with contextlib.ExitStack() as opened:
        opener = Opener(None, opened)
    assert opener.open is open_packet_socket
    opener.require(("lo",))
    with pytest.raises(CaptureUnavailableError, match="nowhere0"):
        opener.require(("lo", "nowhere0"))


def test_a_tap_that_is_not_there_is_told(tmp_path):
    with pytest.raises(CaptureUnavailableError), contextlib.ExitStack() as opened:
        Opener(str(tmp_path / "tap.sock"), opened)
