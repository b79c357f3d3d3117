"""Cables keep order, hold back for their delay and lose their share; no TAP is needed for that."""

import random
import socket
import threading
import time

import pytest

from trainer.lab.links import Cable, Direction, forward

FRAMES = [bytes([number]) * 60 for number in range(100)]


def carry(cable: Cable, seed: int) -> tuple[socket.socket, socket.socket]:
    """Ends of a cable whose process is a thread; datagram sockets stand for TAP devices."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    (near, inner_near), (far, inner_far) = pairs
    for inner in (inner_near, inner_far):
        inner.settimeout(0)
    for outer in (near, far):
        outer.settimeout(10)
    ends = [(cable, inner_near.detach(), inner_far.detach())]
    threading.Thread(target=forward, args=(ends, seed), daemon=True).start()
    return near, far


@pytest.mark.parametrize("delay_ms", [0.0, 20.0])
def test_frames_arrive_in_order_and_not_before_their_time(delay_ms: float) -> None:
    near, far = carry(Cable("a", "b", delay_ms, 5.0, 0.0), 1)
    with near, far:
        start = time.monotonic()
        for sender, receiver in ((near, far), (far, near)):
            for frame in FRAMES[:10]:
                sender.send(frame)
            assert [receiver.recv(100) for _ in range(10)] == FRAMES[:10]
        assert time.monotonic() - start >= 2 * delay_ms / 1000


def test_the_lost_share_is_lost() -> None:
    near, far = carry(Cable("a", "b", 0.0, 0.0, 0.5), 2)
    with near, far:
        received = []
        for frame in FRAMES:
            near.send(frame)
            far.settimeout(0.02)
            try:
                received.append(far.recv(100))
            except TimeoutError:
                continue
    assert 30 <= len(received) <= 70
    assert received == [frame for frame in FRAMES if frame in received]


def test_a_rate_spaces_frames_and_a_full_queue_loses_them() -> None:
    """1,000 kbit/s: a frame of 1,000 bytes takes 8 ms, and 37 of them 296."""
    way = Direction(Cable("a", "b", 5.0, 0.0, 0.0, rate_kbit=1000), 7, random.Random(1))
    due = [way.arrival(100.0, 1000) for _ in range(50)]
    carried = [time for time in due if time is not None]
    assert carried == pytest.approx([100 + 0.008 * (n + 1) + 0.005 for n in range(37)])
    assert due[37:] == [None] * 13
    assert way.arrival(101.0, 1250) == pytest.approx(101.015)


@pytest.mark.parametrize("burst", [1.0, 5.0])
def test_losses_have_their_share_and_come_in_bursts(burst: float) -> None:
    way = Direction(Cable("a", "b", 0.0, 0.0, 0.1, loss_burst=burst), 7, random.Random(1))
    lost = [way.arrival(float(n), 100) is None for n in range(50_000)]
    runs = sum(one and not before for before, one in zip([False, *lost], lost, strict=False))
    assert sum(lost) / len(lost) == pytest.approx(0.1, abs=0.01)
    # Runs of independent losses have a mean of 1 / (1 - 0.1).
    assert sum(lost) / runs == pytest.approx(max(burst, 1 / 0.9), rel=0.1)
