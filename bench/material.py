"""Captures by name, made when they are first wanted and kept in the work folder."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import captures

ONE = "one"
"""A capture of one packet: what a command takes on it is its start-up."""

THIRD = 1 / 3
MILLION = 1_000_000


@dataclass(frozen=True)
class Capture:
    """A capture file.

    Attributes:
        name: as contenders name it; ``mix@50000`` is the first 50,000 packets of ``mix``.
        path: the file.
        packets: in it.
        flows: five-tuples in it; 0 where it is a cut, in which nobody counted them.
        size_bytes: of the file.
    """

    name: str
    path: Path
    packets: int
    flows: int
    size_bytes: int


class Material:
    """Makes captures; every one is made once."""

    def __init__(self, folder: Path, scale: float, say: Callable[[str], None]) -> None:
        """Keeps files of each scale in a folder of their own.

        Args:
            folder: where they go.
            scale: multiplies the flows of all captures.
            say: is told what is made.
        """
        self._folder = folder / f"captures-{scale:g}"
        self._scale = scale
        self._say = say

    def get(self, name: str) -> Capture:
        """The capture of this name."""
        path = self._folder / (name + (".pcapng" if name.endswith("pcapng") else ".pcap"))
        about = path.with_suffix(".json")
        if not about.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._say(f"making {path}")
            about.write_text(json.dumps(self._make(name, path)))
        packets, flows = json.loads(about.read_text())
        return Capture(name, path, packets, flows, path.stat().st_size)

    def _make(self, name: str, path: Path) -> tuple[int, int]:
        if name == ONE:
            return captures.cut(self.get("64-byte").path, path, 1), 1
        if name == "syn-million":
            return captures.cut(self.get("syn").path, path, MILLION), 0
        if "@" in name:
            whole, packets = name.split("@")
            return captures.cut(self.get(whole).path, path, int(packets)), 0
        if name == "third":
            return captures.make("mix", path, self._scale * THIRD)
        if name.startswith("third-"):
            third = self.get("third")
            convert = captures.to_gzip if name.endswith("gzip") else captures.to_pcapng
            convert(third.path, path)
            return third.packets, third.flows
        return captures.make(name, path, self._scale)
