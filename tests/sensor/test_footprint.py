"""Memory, before and after, of this process as the kernel counts it."""

from pathlib import Path

import numpy as np

from sensor.service.footprint import release_code, release_heap


def resident_code_kib() -> int:
    total, counts = 0, False
    for line in Path("/proc/self/smaps").read_text(errors="replace").splitlines():
        if " r-xp " in line:
            counts = line.split()[-1].startswith("/")
        elif " rw-p " in line or " r--p " in line:
            counts = False
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def test_code_is_not_resident_until_it_is_used_again():
    numbers = np.arange(1000.0)
    expected = np.sort(-numbers)[:3].tolist()
    before = resident_code_kib()
    release_code()
    after = resident_code_kib()
    assert after < 0.8 * before
    assert np.sort(-numbers)[:3].tolist() == expected == [-999.0, -998.0, -997.0]
    assert np.linalg.inv(np.eye(3)).tolist() == np.eye(3).tolist()


def resident_mib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) >> 8


def test_what_holds_nothing_within_the_heap_is_not_resident():
    blocks = [bytes(1_000) for _ in range(100_000)]
    blocks[:] = blocks[::100]
    before = resident_mib()
    release_heap()
    assert before - resident_mib() > 40
    assert len(blocks) == 1_000
