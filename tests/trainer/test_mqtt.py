"""MQTT packets, against the specification's own examples."""

import pytest

from trainer.lab import mqtt


@pytest.mark.parametrize(
    ("length", "encoded"),
    # MQTT 3.1.1, table 2.4.
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001")],
)
def test_lengths_of_mqtt_packets(length: int, encoded: str) -> None:
    packet = mqtt.packet(0x30, bytes(length))
    assert packet == bytes.fromhex("30" + encoded) + bytes(length)


def test_connect_without_and_with_a_password() -> None:
    """MQTT 3.1.1, section 3.1: flags 0x02 are a clean session, 0xc0 user name and password."""
    assert mqtt.connect_packet("ab", 60) == bytes.fromhex("100e00044d5154540402003c00026162")
    guarded = mqtt.connect_packet("ab", 60, "u", "pw")
    assert guarded == bytes.fromhex("101500044d51545404c2003c00026162000175") + b"\x00\x02pw"
