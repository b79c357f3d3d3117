"""Kinds of values that are tables whose keys the operator chooses: names of devices, severities."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from sensor.service.config.values import TASK_NAME, Text, Whole, WrongValueError, refused, shown

LONGEST_NAME = 64
"""Characters of a device's name, as in alerts."""

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Devices:
    """Names of devices by their MAC or IP address."""

    most: int
    form: str = "table of MAC or IP addresses with a name for each"
    example: str = '{ "aa:bb:cc:dd:ee:ff" = "camera at the door" }'

    def parse(self, value: object, folder: Path) -> Mapping[str, str]:
        """The names by address; MACs in lower case, addresses in their shortest form."""
        if not isinstance(value, dict):
            raise refused(self, value)
        if len(value) > self.most:
            raise WrongValueError(f"has {len(value)} entries; {self.most} are allowed")
        found: dict[str, str] = {}
        for key, name in value.items():
            address = _device(key)
            if address in found:
                raise WrongValueError(f"{shown(key)} is given twice; leave one out", key)
            try:
                found[address] = Text(LONGEST_NAME, '"camera at the door"').parse(name, folder)
            except WrongValueError as error:
                raise WrongValueError(f"{shown(key)}: {error}", key) from None
        return found


def _device(key: str) -> str:
    if _MAC.fullmatch(key.lower()) and key.strip("0:"):  # all zeros says that there is none
        return key.lower()
    try:
        if "%" not in key:
            return str(ip_address(key))
    except ValueError:
        pass
    raise WrongValueError(
        f"{shown(key)} is neither a MAC nor an IP address; write one like aa:bb:cc:dd:ee:ff, in "
        "quotation marks",
        key,
    )


@dataclass(frozen=True, slots=True)
class Severities:
    """Severities by task, as in EVE: 1 is the highest."""

    most: int
    form: str = "table of tasks with 1, 2 or 3 for each"
    example: str = "{ scan = 3 }"

    def parse(self, value: object, folder: Path) -> Mapping[str, int]:
        """The severities by task."""
        if not isinstance(value, dict):
            raise refused(self, value)
        if len(value) > self.most:
            raise WrongValueError(f"has {len(value)} entries; {self.most} are allowed")
        found: dict[str, int] = {}
        for key, severity in value.items():
            if not TASK_NAME.fullmatch(key):
                raise WrongValueError(f"{shown(key)} is no task; write one like scan", key)
            try:
                found[key] = Whole(1, 3).parse(severity, folder)
            except WrongValueError as error:
                raise WrongValueError(f"{shown(key)}: {error}", key) from None
        return found
