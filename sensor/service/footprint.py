"""Gives back memory of a live run that its start needed, or detectors that are gone."""

import contextlib
import ctypes
import re
from pathlib import Path

MADV_DONTNEED = 4
"""linux/mman.h"""

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)")
_DIRTY = "Private_Dirty:"


def release_heap() -> None:
    """Gives pages of the heap that hold nothing back to the kernel, where this is glibc.

    It takes milliseconds, in which other threads wait for memory. Left to itself, malloc gives back
    what lies at the end of the heap only.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def release_code() -> None:
    """Makes the machine code of all libraries not resident; what is used comes back by itself.

    Loading a library and its first calls touch, with what the kernel reads ahead, most of its
    pages, and most of those never again: of the TFLite runtime and numpy 12 MiB. The pages are
    unchanged file contents, so they are read again (from the page cache) when they are needed.
    Mappings with pages of our own are left alone. Where the kernel does not say or do that,
    nothing happens.
    """
    library = ctypes.CDLL(None)
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    begin = end = 0
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/smaps").read_text(errors="replace").splitlines():
            if mapping := _MAPPING.match(line):
                begin, end = int(mapping[1], 16), int(mapping[2], 16)
                if mapping[3] != "r-xp" or not mapping[4].startswith("/"):
                    begin = end = 0
            elif end and line.startswith(_DIRTY) and line.split()[1] == "0":
                library.madvise(begin, end - begin, MADV_DONTNEED)
