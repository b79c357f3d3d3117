"""The folder where incidents leave their evidence: a file each, and the oldest make room.

A file is written when an event of its incident has been told: at the start, at each tenfold growth
and at the end, so at most 2 + log10(flows) times, and never between alerts. It is replaced as a
whole, by renaming.

Detection neither waits for the folder nor ends because of it: a full disk, a folder that is gone
or may not be written is counted, and the next alert tries again. Only regular files with names of
ours are counted and deleted. Links are not followed: one with the name of a file is replaced.
"""

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from sensor.alerts.event import IncidentEvent
from sensor.alerts.evidence_document import document

SUFFIX = ".json"

_NAME = re.compile(r"[0-9a-f]{16}\.json")
_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.json\.new")

_KEPT_EIGHTHS = 7
"""How much of the limit is left when files are deleted, so that the folder is rarely listed."""


class EvidenceStore:
    """Writes evidence, and keeps the folder within its limit.

    Attributes:
        written: files written whole, those that replaced an older one of theirs too.
        failures: files that could not be written.
        deleted: files that made room for younger ones.
    """

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        """Opens nothing yet.

        Args:
            directory: the folder, made when it is first needed; its parent has to exist.
            limit_bytes: of all files together; one that is larger by itself is not written.
        """
        self.written = self.failures = self.deleted = 0
        self._directory, self._limit_bytes = directory, limit_bytes
        self._bytes: int | None = None  # what the files take together; unknown

    def tell(self, event: IncidentEvent, line: bytes) -> None:
        """Writes what the event's incident has kept, after the event has been told.

        An incident that has given its rows up keeps the file that it has.

        Args:
            event: that was told.
            line: of the alert log, that told it.
        """
        if not event.kept:
            return
        name = json.loads(line)["alert"]["metadata"]["multa"]["alert_id"] + SUFFIX
        try:
            self._write(name, document(event.kept, line))
        except OSError:
            self.failures += 1
            self._bytes = None  # whoever broke the folder may have changed what it holds
        else:
            self.written += 1

    def _write(self, name: str, content: bytes) -> None:
        if len(content) > self._limit_bytes:
            raise OSError(f"{name} is larger than the limit of the folder")
        with self._opened() as folder:
            if self._bytes is None:
                _delete_unfinished(folder)
                self._bytes = sum(size for _, _, size in _files(folder))
            if self._bytes + len(content) > self._limit_bytes:
                self._bytes = self._make_room(folder, len(content))
            before = _size(folder, name)
            _replace(folder, name, content)
            self._bytes += len(content) - before

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            folder = os.open(self._directory, flags)
        except FileNotFoundError:
            self._directory.mkdir(mode=0o750)
            folder = os.open(self._directory, flags)
        try:
            yield folder
        finally:
            os.close(folder)

    def _make_room(self, folder: int, wanted: int) -> int:
        """Deletes the oldest files; what the others take together."""
        files = sorted(_files(folder))
        left = sum(size for _, _, size in files)
        for _, name, size in files:
            if left + wanted <= max(self._limit_bytes * _KEPT_EIGHTHS // 8, wanted):
                break
            os.unlink(name, dir_fd=folder)
            self.deleted += 1
            left -= size
        return left


def _files(folder: int) -> Iterator[tuple[int, str, int]]:
    """Time of change in nanoseconds, name and size of each file of evidence."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                found = entry.stat(follow_symlinks=False)
                yield found.st_mtime_ns, entry.name, found.st_size


def _delete_unfinished(folder: int) -> None:
    """Deletes what a sensor that was killed has left."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _UNFINISHED.fullmatch(entry.name)]
    for name in names:
        os.unlink(name, dir_fd=folder)


def _size(folder: int, name: str) -> int:
    """Of a file of evidence; 0 where there is none."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _replace(folder: int, name: str, content: bytes) -> None:
    unfinished = f".{name}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(unfinished, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, 0o640, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
        os.replace(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(unfinished, dir_fd=folder)
        raise
