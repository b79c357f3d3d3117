"""`multa-sensor` on a machine whose clock can be set: ``python shifted.py run ...``.

The kernel stamps packets with a clock that no test may set. So the times in the ring are shifted
where they are read, by the offset that shifts the wall clock too (`clock_shim.c`); all that comes
after is the sensor's own.
"""

import mmap
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from sensor.capture.ring import Ring
from sensor.cli import main

_SECONDS = 4
"""Where the header of a frame in the ring has them (struct tpacket3_hdr)."""


def shift(path: Path) -> None:
    """Shifts all that rings deliver from now on by whole seconds of the offset in a file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    page = mmap.mmap(descriptor, 8, prot=mmap.PROT_READ)
    os.close(descriptor)
    columns = Ring._columns

    def shifted(self: Ring, buffer: Any, header: Any) -> Any:
        seconds = struct.unpack("q", page[:8])[0] // 10**9
        words = buffer[header[:, None] + _SECONDS + np.arange(4)].view("<u4")
        words = (words.astype(np.int64) + seconds).astype("<u4").view(np.uint8)
        buffer[header[:, None] + _SECONDS + np.arange(4)] = words
        return columns(self, buffer, header)

    Ring._columns = shifted  # type: ignore[method-assign]


if __name__ == "__main__":
    shift(Path(os.environ["CLOCK_OFFSET"]))
    main()
