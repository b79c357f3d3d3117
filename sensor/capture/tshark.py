"""Whatever only tshark reads, as blocks: its file formats, and its live interfaces.

tshark (Wireshark) reads forty formats and captures from all that libpcap and its plug-ins know.
pyshark finds it, as pyshark's own ``config.ini`` or the path say. The packets do not come as
pyshark's objects, which hold what tshark *dissected*: at 640 packets a second a sensor would be
blind, and addresses and lengths would be those of another decoder.
tshark is asked for the frames instead, written to a pipe as pcapng, which is read here like any
other: hundreds of times faster, with nanoseconds and both lengths, and decoded by the same code
whatever the source.

What tshark does not keep: raw IP of link types 12 and 14 arrives as 101, PPP in HDLC framing (50)
as PPP (9); a pcapng simple packet block, which has no time, as of 1970; times beyond what its own
clock holds.
"""

import contextlib
import importlib
import io
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from sensor.capture.block import GATHER_BYTES, CaptureCounters, PacketBlock
from sensor.capture.formats import CHUNK_BYTES, CaptureFile
from sensor.capture.octets import Octets, open_stream
from sensor.capture.pcapng import MAGIC, SECTION_HEADER_BYTES, PcapngParser
from sensor.capture.silence import Silence
from sensor.errors import (
    CaptureFormatError,
    CaptureUnavailableError,
    HostError,
    MultaError,
    PermissionDeniedError,
)

TIMEOUT_MS = 100
"""How long frames are gathered into a block."""

_MARGIN_NS = 1_000_000_000
"""A frame that has come by now has passed through libpcap (250 ms) and two processes by then."""

_LIVE_CHUNK_BYTES = 1 << 20
_NOISE = ("Running as user", "Capturing on", " ** (", "** (")


def open_with_tshark(path: str | os.PathLike[str], chunk_bytes: int = CHUNK_BYTES) -> CaptureFile:
    """Opens a capture file of any format that tshark reads.

    Args:
        path: the file; ``-`` is standard input.
        chunk_bytes: how much is read at a time.

    Raises:
        MissingInputError: there is no such file.
        PermissionDeniedError: it may not be read.
        CaptureFormatError: tshark does not read it either.
        LinkTypeError: none of its frames are of a link type that is decoded.
        HostError: pyshark or tshark is not installed.
    """
    name = os.fspath(path)
    program = _find_tshark()
    # tshark's own words about what can't be opened would not tell which of these errors it is.
    stream = open_stream(name)
    with contextlib.ExitStack() as undo:
        # By its name, where it has one: some formats are known by it, and some are sought in.
        command = [program, "-n", "-r", name, "-F", "pcapng", "-w", "-"]
        with contextlib.closing(stream), _interrupts_wait():
            octets = _ProcessOctets(name, command, stream if name == "-" else None)
            undo.callback(octets.close)
            octets.size_bytes = os.fstat(stream.fileno()).st_size
        header = octets.head(SECTION_HEADER_BYTES)
        if not header.startswith(MAGIC):
            said = octets.said or "it ended without a word"
            raise CaptureFormatError(f"{name}: tshark can't read it ({said})")
        file = CaptureFile(octets, PcapngParser(name, header), chunk_bytes)
        file.first_time_ns()
        undo.pop_all()
    return file


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Lets Ctrl-C wait until the process that is started here belongs to somebody who ends it."""
    previous = signal.getsignal(signal.SIGINT)
    if previous is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        for number in came[:1]:
            signal.raise_signal(number)


class _ProcessOctets(Octets):
    """What a process writes to its standard output, until it ends; it never outlives this.

    Attributes:
        said: its last word on standard error, once it has ended.
    """

    def __init__(self, path: str, command: list[str], source: IO[bytes] | None = None) -> None:
        """Starts the process; `source` is its standard input."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in `close`
        try:
            self.process = subprocess.Popen(
                command,
                stdin=source if source is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                # Ctrl-C is for the sensor, which then ends this one in good order.
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            self._errors.close()
            raise HostError(f"{command[0]}: can't be run ({error.strerror})") from None
        stdout = self.process.stdout
        if not isinstance(stdout, io.FileIO):  # what an unbuffered pipe is
            raise TypeError(type(stdout))
        super().__init__(path, stdout)
        self.said = ""
        self._closed = False

    def _fill(self, room: memoryview) -> int:
        count = super()._fill(room)
        if not count and self.process.returncode is None:
            status = self.process.wait()
            self.said = self._last_word()
            if status:
                self.damage = (
                    f"{self.path}: tshark ended early ({self.said or f'status {status}'}); the "
                    "packets before that were processed"
                )
        return count

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        super().close()
        self._errors.close()

    def _last_word(self) -> str:
        """The line that matters among those on standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").splitlines()
        kept = [line.strip() for line in lines if not line.startswith(_NOISE)]
        spoken = [line for line in kept if line.startswith("tshark: ") and line != "tshark:"]
        return (spoken or kept or [""])[0].removeprefix("tshark: ").strip().rstrip(".")


class TsharkLive:
    """Frames of one interface as tshark captures them.

    Iteration yields blocks of what came within `TIMEOUT_MS`, and an empty block (a tick) where
    nothing did. It ends after `stop`, once all that was captured is delivered.

    Attributes:
        interface: its name.
        counters: what has been delivered; what the kernel dropped is known at the end only.
        blind: to nothing, as tshark does not outlive its interface, nor this source tshark.
        pressed: never, as tshark keeps in a file what is not read yet.
    """

    def __init__(self, interface: str, *, snap_bytes: int, promiscuous: bool = True) -> None:
        """Starts tshark and waits until it captures.

        Args:
            interface: a name that ``tshark -D`` lists.
            snap_bytes: how much of each frame is captured.
            promiscuous: also frames for other stations.

        Raises:
            CaptureUnavailableError: there is no such interface, or it can't be captured on.
            HostError: pyshark or tshark is not installed.
            PermissionDeniedError: tshark may not capture.
        """
        self.interface = interface
        self.counters = CaptureCounters()
        self.blind: Mapping[str, str] = {}
        self.pressed = False
        program = _find_tshark()
        command = [program, "-n", "-q", "-i", interface, "-s", str(snap_bytes)]
        command += [] if promiscuous else ["-p"]
        self._stopping = False
        self._silence = Silence(_MARGIN_NS)
        with contextlib.ExitStack() as undo:
            with _interrupts_wait():
                self._octets = _ProcessOctets(interface, [*command, "-F", "pcapng", "-w", "-"])
                undo.callback(self.close)
            header = self._octets.head(SECTION_HEADER_BYTES)
            if not header.startswith(MAGIC):
                raise self._failure()
            self._parser = PcapngParser(interface, header)
            undo.pop_all()

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks and ticks until `stop`.

        Raises:
            CaptureUnavailableError: tshark ended by itself.
            LinkTypeError: the interface's frames are not decoded.
        """
        capacity = self._parser.most_bytes + _LIVE_CHUNK_BYTES + GATHER_BYTES
        buffer = np.zeros(capacity, np.uint8)
        kept = 0
        at_end = False
        while not at_end:
            end, at_end = self._gather(buffer.data, kept)
            blocks, whole_bytes, problem = self._parser.parse(buffer, end)
            silent = True
            for block in blocks:
                silent = False
                self._count(block)
                yield block
            if problem:
                raise CaptureUnavailableError(f"interface {self.interface}: {problem}")
            kept = end - whole_bytes
            buffer[:kept] = buffer[whole_bytes:end].copy()
            if silent:
                yield self._silence.tick()
        self.counters.kernel_drops = self._parser.drops
        if not self._stopping:
            raise self._failure()

    def stop(self) -> None:
        """Ends the iteration; may be called from a signal handler and from another thread."""
        self._stopping = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._octets.process.pid, signal.SIGINT)

    def close(self) -> None:
        """Ends tshark, if it still runs; closing twice is allowed."""
        self._octets.close()

    def _gather(self, room: memoryview, kept: int) -> tuple[int, bool]:
        """Reads what comes within a while; returns its end, and whether that is all."""
        poll = select.poll()
        poll.register(self._octets.fileno(), select.POLLIN | select.POLLHUP)
        until = time.monotonic() + TIMEOUT_MS / 1000
        most = kept + _LIVE_CHUNK_BYTES
        end = kept
        while end < most:
            left_ms = (until - time.monotonic()) * 1000
            if left_ms <= 0 or not (self._octets.has_head or poll.poll(left_ms)):
                break
            count = self._octets.readinto(room[end:most])
            if not count:
                return end, True
            end += count
        return end, False

    def _count(self, block: PacketBlock) -> None:
        self.counters.packets += len(block)
        self.counters.bytes += int(block.wire_length.sum())
        self._silence.end(int(block.timestamp_ns[-1]))

    def _failure(self) -> MultaError:
        said = self._octets.said
        kind = PermissionDeniedError if "permission" in said.lower() else CaptureUnavailableError
        return kind(f"interface {self.interface}: tshark can't capture on it ({said})")


def _find_tshark() -> str:
    """Where tshark is, as pyshark finds it.

    Raises:
        HostError: pyshark or tshark is not installed.
    """
    try:
        # Only those who ask for this source need pyshark, and it takes a while to load.
        configuration: Any = importlib.import_module("pyshark.config")
        # A config.ini in the folder that one happens to be in would choose the program that runs,
        # perhaps as root; and files of that name belong to many other programs.
        configuration.fp_config_path = configuration.pyshark_config_path
        found: Any = importlib.import_module("pyshark.tshark.tshark")
    except ImportError as error:
        raise HostError(
            f"the source tshark needs pyshark ({error}); install it with `pip install "
            "pyshark`, and tshark with `apt install tshark`"
        ) from None
    try:
        return str(found.get_process_path(process_name="tshark"))
    except found.TSharkNotFoundException:
        raise HostError(
            "the source tshark needs the program tshark, which is not on the path; install it "
            "with `apt install tshark`"
        ) from None
