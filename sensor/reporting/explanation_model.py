"""Finds the bundle that scored an alert, by the SHA-256 of its network."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from sensor.errors import BundleError, MissingInputError, PermissionDeniedError
from sensor.model import canonical
from sensor.model.bundle import MANIFEST, Bundle, read_file

MOST_BUNDLES = 1_000
"""Manifests that are looked at."""


def find_bundle(model_sha256: str, places: Iterable[Path]) -> Bundle | None:
    """The bundle with this network, or None.

    Args:
        model_sha256: of its ``model.tflite``.
        places: folders of bundles, of stores of bundles, or bundles; the first that fits is taken.

    Raises:
        BundleError: it is there, and damaged or of another version.
    """
    for folder in islice(_folders(places), MOST_BUNDLES):
        if _sha256(folder) == model_sha256:
            return Bundle.read(folder)
    return None


def _folders(places: Iterable[Path]) -> Iterator[Path]:
    """Folders with a manifest: a place itself, and two levels below it (a store's versions)."""
    for place in places:
        for pattern in (MANIFEST, f"*/{MANIFEST}", f"*/*/{MANIFEST}"):
            try:
                found = sorted(place.glob(pattern))
            except OSError:
                continue
            yield from (path.parent for path in found)


def _sha256(folder: Path) -> str | None:
    """What a manifest says; the bundle is not read yet."""
    try:
        manifest = canonical.parse(read_file(folder, MANIFEST))
        stated = manifest["files"]["model.tflite"]["sha256"]
    except (MissingInputError, PermissionDeniedError, BundleError):
        return None
    except (ValueError, KeyError, TypeError):
        return None
    return stated if isinstance(stated, str) else None
