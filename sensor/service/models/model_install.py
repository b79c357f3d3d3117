"""Puts bundles into the store, and takes the version before back; see `model_store`.

A bundle is copied first and proved after, so that what was proved is what will be used. Until the
last step the link of the version in use stays as it is, and that step is one rename: whenever the
process ends or the disk is full, the store has the old version or the new one. What is left over
then is removed by the next change.
"""

import contextlib
import fcntl
import gzip
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sensor.errors import (
    BundleError,
    MissingInputError,
    MultaError,
    OutputError,
    PermissionDeniedError,
)
from sensor.model.bundle import FILES, LIMITS, MANIFEST, SIGNATURE, Bundle, read_file
from sensor.model.trust import Trust
from sensor.model.verification import Verification, read_proved
from sensor.service.models.model_store import CURRENT, PREVIOUS, linked, names, versions

KEPT = 3
"""Versions of a model that are kept, the current and the previous one among them."""

DIGITS = 12
"""Of the ``manifest_sha256``, for the name of a version's folder."""

_COPY, _REMOVED = ".install", ".remove"

_ARCHIVE_BYTES = sum(LIMITS.values()) + (1 << 20)
"""What an archive may unpack to: all files at their largest, and room for what describes them."""

_ARCHIVE_MEMBERS = 64
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Installed:
    """What became of an installation or of a way back.

    Attributes:
        bundle: in its folder of the store.
        proof: how it answered.
        before: version that was current, if there was one.
        used: whether it is current now.
        removed: versions that had to make room.
    """

    bundle: Bundle
    proof: Verification
    before: Path | None
    used: bool
    removed: tuple[Path, ...] = ()


def install(source: Path, store: Path, trust: Trust, *, use: bool = True) -> Installed:
    """Copies a bundle into the store, proves the copy, and makes it the current version.

    Args:
        source: folder of a bundle, or a tar archive of one, perhaps compressed with gzip.
        store: is made if it is missing.
        trust: what is asked of bundles.
        use: whether it becomes the current version of its name.

    Raises:
        MissingInputError: there is nothing at `source`.
        BundleError: it is no bundle that may be used here.
        PermissionDeniedError: `source` may not be read, or the store not be written.
        OutputError: the store can't be written, or another process is changing it.
    """
    files = _from_folder(source) if source.is_dir() else _from_archive(source)
    store = Path(os.path.realpath(store))
    with _changing(store):
        copy = store / _COPY
        copy.mkdir()
        for name, content in files.items():
            _write(copy / name, content)
        try:
            bundle, proof = read_proved(copy, trust)
        except MultaError as error:
            # The copy will be gone when somebody looks for what is named here.
            raise type(error)(str(error).replace(str(copy), str(source))) from None
        home = store / bundle.name
        _folder(home)
        version = home / bundle.manifest_sha256[:DIGITS]
        _place(copy, version, trust)
        os.utime(version)
        before = linked(store, bundle.name, CURRENT)
        if use and before != version:
            if before is not None and before.is_dir():
                _link(home, PREVIOUS, before.name)
            _link(home, CURRENT, version.name)
        removed = _make_room(store, bundle.name, version)
        used = use or before == version
        return Installed(Bundle.read(version, trust), proof, before, used, removed)


def roll_back(name: str, store: Path, trust: Trust) -> Installed:
    """Makes the previous version of a model the current one, and the current one the previous.

    Raises:
        MissingInputError: there is no such model, or no version before.
        BundleError: the version before can't be used any more; nothing is changed then.
        PermissionDeniedError: the store may not be written.
        OutputError: the store can't be written, or another process is changing it.
    """
    store = Path(os.path.realpath(store))
    if name not in names(store):
        there_are = f"there are: {', '.join(names(store))}" if names(store) else "it is empty"
        raise MissingInputError(f"{name}: no such model in the store {store} ({there_are})")
    with _changing(store):
        current, previous = (linked(store, name, link) for link in (CURRENT, PREVIOUS))
        if previous is None or previous == current:
            others = [each.path for each in versions(store, name) if each.path != current]
            remedy = (
                f"use another one with: multa-sensor models install {others[0]}"
                if others
                else "install the one that is wanted"
            )
            raise MissingInputError(
                f"{store / name}: no version was in use before this one; {remedy}"
            )
        bundle, proof = read_proved(previous, trust)
        _link(store / name, CURRENT, previous.name)
        if current is not None:
            _link(store / name, PREVIOUS, current.name)
        return Installed(bundle, proof, current, used=True)


@contextlib.contextmanager
def _changing(store: Path) -> Iterator[None]:
    """Holds the store alone, without what an earlier process has left over in it."""
    try:
        _folder(store)
        directory = os.open(store, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _discard(store)
            try:
                yield
            finally:
                _discard(store)
        finally:
            os.close(directory)
    except BlockingIOError:
        raise OutputError(
            f"{store}: another process is changing it; try again when it has ended"
        ) from None
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{error.filename or store}: permission denied; run it as root"
        ) from None
    except OSError as error:
        raise OutputError(
            f"{error.filename or store}: can't be written ({error.strerror}); make room or choose "
            "another store (--store); the model in use stays"
        ) from None


def _discard(store: Path) -> None:
    for name in (_COPY, _REMOVED):
        if (store / name).exists():
            shutil.rmtree(store / name)


def _folder(path: Path) -> None:
    """Makes a folder that everybody may read, whatever the mask of the process."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)
        _sync(path.parent)


def _write(place: Path, content: bytes) -> None:
    """Writes a file that everybody may read, and has the disk hold it."""
    with place.open("wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Has the disk hold what was renamed or made in a folder."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _place(copy: Path, version: Path, trust: Trust) -> None:
    """Gives a proved copy its name; where the version lies there already, mends that.

    It may be the one in use, so it is never moved away: its files are replaced one by one.
    """
    copy.chmod(0o755)
    _sync(copy)
    if not version.exists():
        copy.rename(version)
        _sync(version.parent)
        return
    if _laid_out_otherwise(copy, version) and _usable(version, trust):
        return
    for name in (*FILES, MANIFEST, SIGNATURE):
        if (copy / name).exists():
            (copy / name).replace(version / name)
    version.chmod(0o755)
    _sync(version)


def _laid_out_otherwise(copy: Path, version: Path) -> bool:
    """Whether manifests differ that may yet mean the same; a signature holds for one of them."""
    try:
        return read_file(copy, MANIFEST) != read_file(version, MANIFEST)
    except MultaError:
        return True


def _usable(version: Path, trust: Trust) -> bool:
    try:
        read_proved(version, trust)
    except MultaError:
        return False
    return True


def _link(home: Path, link: str, version: str) -> None:
    """Has a link lead to a version, at once."""
    fresh = home / f".{link}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(version)
    fresh.replace(home / link)
    _sync(home)


def _make_room(store: Path, name: str, newest: Path) -> tuple[Path, ...]:
    """Removes the versions that were installed longest ago, beyond `KEPT`."""
    found = versions(store, name)
    idle = [each.path for each in found if not each.state and each.path != newest]
    surplus = idle[max(0, KEPT - (len(found) - len(idle))) :]
    for path in surplus:
        path.rename(store / _REMOVED)
        shutil.rmtree(store / _REMOVED)
    return tuple(surplus)


def _from_folder(source: Path) -> dict[str, bytes]:
    return {
        name: read_file(source, name)
        for name in LIMITS
        if name == MANIFEST or os.path.lexists(source / name)
    }


def _from_archive(source: Path) -> dict[str, bytes]:
    """The files of a bundle in an archive; nothing of it is written, and nothing else accepted.

    Raises:
        MissingInputError: there is no such file.
        PermissionDeniedError: it may not be read.
        BundleError: it is no archive of a bundle's files and nothing else.
    """
    try:
        with source.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            content = (gzip.GzipFile(fileobj=file) if packed else file).read(_ARCHIVE_BYTES + 1)
        if len(content) > _ARCHIVE_BYTES:
            raise BundleError(
                f"{source}: holds more than a bundle can; give the folder of a bundle, or an "
                "archive of it alone"
            )
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            files = _members(archive, source)
    except FileNotFoundError:
        raise MissingInputError(f"{source}: no such file or folder; give a model bundle") from None
    except PermissionError:
        raise PermissionDeniedError(f"{source}: permission denied; run it as root") from None
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError) as error:
        raise BundleError(
            f"{source}: is neither the folder of a bundle nor a tar archive of one ({error})"
        ) from None
    if MANIFEST not in files:
        raise BundleError(f"{source}: holds no {MANIFEST}, so no bundle; pack a bundle's folder")
    return files


def _members(archive: tarfile.TarFile, source: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    folders = set()
    for number, member in enumerate(archive):
        path = PurePosixPath(member.name)
        if member.isdir() and number < _ARCHIVE_MEMBERS:
            continue
        # A name is only looked up here; no path is ever made of it.
        expected = (
            number < _ARCHIVE_MEMBERS
            and member.isreg()
            and path.name in LIMITS
            and path.name not in files
            and member.size <= LIMITS[path.name]
        )
        folders.add(path.parent)
        extracted = archive.extractfile(member) if expected and len(folders) == 1 else None
        if extracted is None:
            raise BundleError(
                f"{source}: {member.name[:200]!r} is no file of a bundle, or one too many, or too "
                f"large; pack {', '.join((*FILES, MANIFEST))} and, if it is signed, {SIGNATURE}, "
                "nothing else"
            )
        files[path.name] = extracted.read()
    return files
