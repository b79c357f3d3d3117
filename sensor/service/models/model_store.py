"""Where bundles lie: those that came with the sensor, and a store of those that were installed.

The store has a folder for each name, in it a folder for each version (the first 12 digits of its
``manifest_sha256``), and the symbolic links ``current`` and ``previous`` beside these. What is
used is decided by one link, so it changes at once and wholly; `sensor.service.models.model_install`
writes it. A name means the store's current version where there is one, else the shipped bundle.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import sensor
from sensor.errors import BundleError, MissingInputError, PermissionDeniedError
from sensor.model.bundle import MANIFEST, NAME

SHIPPED_MODEL = "iot-gateway"

CURRENT, PREVIOUS = "current", "previous"


def shipped_models() -> Path:
    """The folder of the bundles that come with the sensor.

    That of the source tree if the package lies in one, else ``share/multa/models`` of the
    installation.
    """
    beside = Path(sensor.__file__).resolve().parents[1] / "models"
    return beside if beside.is_dir() else Path(sys.prefix, "share", "multa", "models")


def shipped_bundle() -> Path:
    """The bundle that is used if no other is asked for.

    Raises:
        MissingInputError: none came with this installation.
    """
    path = shipped_models() / SHIPPED_MODEL
    if not path.is_dir():
        raise MissingInputError(
            f"{path}: no model came with this installation; give one with --models, or use the "
            "counting rule alone with --no-models"
        )
    return path


def resolve(model: str, store: Path) -> Path:
    """The folder of a bundle that is asked for by name, or by path.

    Symbolic links are followed here and once, so whoever reads all files from this folder has
    those of one version, whatever is installed meanwhile.

    Args:
        model: a path if it holds a slash, else a name.
        store: the store; it need not exist.

    Raises:
        MissingInputError: there is no model of that name.
        PermissionDeniedError: the store may not be read.
        BundleError: the store has the name, but what its link leads to is gone.
    """
    if "/" in model:
        return Path(os.path.realpath(model))
    if not NAME.fullmatch(model):
        raise MissingInputError(
            f"{model!r}: is no name of a model; give a name, or a folder with a slash (./FOLDER)"
        )
    if (version := linked(store, model, CURRENT)) is not None:
        if not version.is_dir():
            raise BundleError(
                f"{store / model / CURRENT}: leads to {version.name}, which is not there; install "
                f"the bundle again, or try: multa-sensor models rollback {model}"
            )
        return Path(os.path.realpath(version))
    shipped = shipped_models() / model
    if shipped.is_dir():
        return Path(os.path.realpath(shipped))
    known = sorted({*names(store), *(path.parent.name for path in shipped_bundles())})
    there_are = f"there are: {', '.join(known)}" if known else "there is none"
    raise MissingInputError(
        f"{model}: no such model in {store} or {shipped.parent} ({there_are}); install it with "
        "multa-sensor models install, or write ./FOLDER for a folder"
    )


def shipped_bundles() -> list[Path]:
    """Manifests of the bundles that came with the sensor, in order of their names."""
    return sorted(shipped_models().glob(f"*/{MANIFEST}"))


@dataclass(frozen=True)
class Version:
    """A version of a model in the store.

    Attributes:
        path: its folder.
        state: ``current``, ``previous``, or empty.
    """

    path: Path
    state: str


def names(store: Path) -> list[str]:
    """Names in the store, in order.

    Raises:
        PermissionDeniedError: it may not be read.
    """
    return [path.name for path in _folders(store) if NAME.fullmatch(path.name)]


def versions(store: Path, name: str) -> list[Version]:
    """Versions of a model in the store, the one that was installed last first.

    Raises:
        PermissionDeniedError: the store may not be read.
    """
    current, previous = (linked(store, name, link) for link in (CURRENT, PREVIOUS))
    found = [path for path in _folders(store / name) if (path / MANIFEST).exists()]
    found.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    states = {previous: PREVIOUS, current: CURRENT}  # current, where both are the same
    return [Version(path, states.get(path, "")) for path in found]


def linked(store: Path, name: str, link: str) -> Path | None:
    """The version that a link of a model leads to, which may be gone; None without the link.

    Raises:
        PermissionDeniedError: the store may not be read.
        BundleError: in place of the link lies something else.
    """
    place = store / name / link
    try:
        target = place.readlink()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise _denied(place) from None
    except OSError:
        raise BundleError(
            f"{place}: is no symbolic link; remove it, and install the bundle again"
        ) from None
    return place.parent / target


def _folders(path: Path) -> list[Path]:
    """Folders in a folder that may be missing, without links and hidden ones."""
    try:
        with os.scandir(path) as entries:
            found = [
                path / entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        raise _denied(path) from None
    return sorted(found)


def _denied(place: Path) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"{place}: permission denied; run it as root, or let the sensor's user read it"
    )
