"""Opens what a live run captures from, as its settings say."""

import contextlib
import socket
from collections.abc import Callable

from sensor.capture.cutoff import CutOff
from sensor.capture.interfaces import describe
from sensor.capture.live import LiveSource
from sensor.capture.ring import BLOCK_BYTES, BLOCKS, FULL_FRAMES, SNAP_BYTES, Ring
from sensor.capture.tap import DEVICE_COUNTERS, Tapped, open_packet_socket
from sensor.errors import UsageError
from sensor.service.config.setting_tables import Capture
from sensor.service.devices.devices import NEIGHBOURS
from sensor.service.workers.workers import Workers

RECORDING_MIB = 32
"""Whole frames take more room than headers."""

WORKER_MIB = 16
"""As much as one ring has alone: blocks are handed over sooner, so more of them are not full, and
the kernel may give nearly all frames to one worker."""

USUAL_MIB = BLOCK_BYTES * BLOCKS >> 20


class Opener:
    """Where packet sockets come from: this process, or a tap.

    Attributes:
        open: gives a packet socket of protocol 0.
        device_counters, neighbours: files of the network that the sockets are of.
    """

    def __init__(self, tap: str | None, opened: contextlib.ExitStack) -> None:
        """Asks the tap, if there is one; what it gave is open until `opened` is closed.

        Raises:
            MultaError: the tap is not there, or gives nothing.
        """
        self.open: Callable[[], socket.socket] = open_packet_socket
        self.device_counters, self.neighbours = DEVICE_COUNTERS, NEIGHBOURS
        self._asking: socket.socket | None = None
        if tap:
            tapped = opened.enter_context(contextlib.closing(Tapped(tap)))
            self.open, self._asking = tapped.open, tapped.asking
            self.device_counters, self.neighbours = tapped.device_counters, tapped.neighbours

    def require(self, names: tuple[str, ...]) -> None:
        """Raises CaptureUnavailableError where there is no interface of one of these names."""
        for name in names:
            describe(name, self._asking)


def require_sense(capture: Capture, record: str | None, count: int | None) -> None:
    """Raises UsageError where settings and options exclude each other."""
    workers, native = capture.workers, capture.source == "native"
    if not native and (record or capture.buffer_mib or len(capture.interfaces) > 1):
        raise UsageError("--record, --buffer and several interfaces need the source native")
    if workers > 1 and (record or count or not native):
        raise UsageError("--record, --count and other sources than native need one worker")
    if capture.cut_off and (record or workers > 1 or len(capture.interfaces) > 1 or not native):
        raise UsageError("--cut-off needs one interface, one worker, no --record, and native")
    if capture.tap and not native:
        raise UsageError("a tap gives packet sockets, so it needs the source native")


def open_source(
    capture: Capture, opener: Opener, optional: set[str], cut_off: CutOff | None, *, recording: bool
) -> LiveSource | Workers:
    """Opens what is captured from; from here on frames are received.

    Args:
        capture: settings.
        opener: of packet sockets.
        optional: columns that workers decode besides.
        cut_off: see `Ring`.
        recording: whether whole frames are wanted.

    Raises:
        MultaError: as `Ring`, `Workers` and `TsharkLive` do.
    """
    interfaces, workers, promiscuous = capture.interfaces, capture.workers, capture.promiscuous
    if capture.source == "tshark":
        from sensor.capture.tshark import TsharkLive  # noqa: PLC0415 -- others save its memory

        return TsharkLive(interfaces[0], snap_bytes=SNAP_BYTES, promiscuous=promiscuous)
    usual_mib = max(USUAL_MIB, WORKER_MIB * workers)
    memory_mib = capture.buffer_mib or (RECORDING_MIB if recording else usual_mib)
    blocks = (memory_mib << 20) // BLOCK_BYTES
    if workers > 1:
        return Workers(
            interfaces,
            workers,
            optional,
            blocks=blocks,
            promiscuous=promiscuous,
            opener=opener.open,
        )
    return Ring(
        *interfaces,
        blocks=blocks,
        snap_bytes=FULL_FRAMES if recording else SNAP_BYTES,
        promiscuous=promiscuous,
        cut_off=cut_off,
        opener=opener.open,
        device_counters=opener.device_counters,
    )
