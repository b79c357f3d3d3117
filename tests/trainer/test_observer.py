"""What begins a flow, as the attacker's own interface shows it."""

import socket

import frames
import pytest

from trainer.lab.observer import begun_flow

ONE, OTHER = "10.0.0.7", "10.0.0.9"
ENDS = (socket.inet_aton(ONE), socket.inet_aton(OTHER))


@pytest.mark.parametrize(
    ("flags", "begins"),
    [(frames.SYN, True), (frames.SYN | 0x10, False), (0x10, False), (0x04, False), (0xC2, True)],
)
def test_only_a_syn_begins_a_connection(flags: int, begins: object) -> None:
    found = begun_flow(frames.tcp_frame(ONE, 4000, OTHER, 80, flags))
    assert found == (("tcp", *ENDS, 4000, 80) if begins else None)


def test_every_datagram_may_begin_a_flow() -> None:
    found = begun_flow(frames.udp_frame(ONE, 4000, OTHER, 53, b"x"))
    assert found == ("udp", *ENDS, 4000, 53)


def test_what_is_cut_off_or_not_ip_begins_nothing() -> None:
    frame = frames.tcp_frame(ONE, 4000, OTHER, 80, frames.SYN)
    assert begun_flow(frame[:30]) is None
    assert begun_flow(frame[:50]) is None
    assert begun_flow(frame[:12] + b"\x86\xdd" + frame[14:]) is None
