"""Where bundles lie: those that came with the sensor."""

import sys
from pathlib import Path

import sensor
from sensor.errors import MissingInputError

SHIPPED_MODEL = "iot-gateway"


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
