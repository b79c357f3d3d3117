"""Model bundles that are corrupt: damaged in every way, some by somebody who mends the hashes.

Most damage is left as it is: all of it has to be refused, whatever it changes. A tenth is *forged*:
the hashes are made right again, so that only deeper checks are in its way. Such a bundle is refused
too, or it answers its golden vectors; with keys configured it is always refused. Nothing that is
refused changes what the store has in use.
"""

import copy
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from forged import rewritten, with_file
from signing import made_key, sign
from tqdm import tqdm

from sensor.errors import BundleError, MultaError
from sensor.model.bundle import MANIFEST, SIGNATURE, Bundle
from sensor.model.trust import Trust, check_signature
from sensor.model.verification import read_proved, verify
from sensor.service.models.model_install import install
from sensor.service.models.model_store import SHIPPED_MODEL, resolve, shipped_models

DAMAGED = ("model.tflite", "golden.npz", "README.md", MANIFEST, SIGNATURE)
FORGED = ("model.tflite", "golden.npz", MANIFEST)
"""What a forger changes; another model card would only be another bundle."""

WAYS = ("bits", "cut", "swapped", "noise", "grown")
FORGED_EVERY = 10
INSTALLED_EVERY = 100
SIGNED_EVERY = 20
"""How many damaged signatures are given to a child for each that one has to look at."""

LONGEST_S = 5.0
"""Of processor time, for a look at one bundle."""


class Corruption:
    """A signed bundle that is damaged again and again, and a store with a good one.

    Attributes:
        counts: what became of the damaged ones.
        failures: what should not have been.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._folder = folder / SHIPPED_MODEL
        shutil.copytree(shipped_models() / SHIPPED_MODEL, self._folder)
        private, public = made_key(folder)
        sign(self._folder, private)
        self._trust = Trust(keys=(public,))
        self._content = {name: (self._folder / name).read_bytes() for name in DAMAGED}
        self._manifest = json.loads(self._content[MANIFEST])
        self._store = folder / "store"
        self._in_use = install(self._folder, self._store, self._trust).bundle.path
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def round(self, number: int) -> None:
        """Damages the bundle in the way that its number decides, and looks what becomes of it."""
        chance = random.Random(f"{self._seed} {number}")
        began = time.process_time()
        try:
            if number % FORGED_EVERY:
                self._damaged(chance, number)
            else:
                self._forged(chance, number)
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody may ever see it
            self.failures.append(f"{number}: {type(error).__name__}: {error}")
        if (spent := time.process_time() - began) > LONGEST_S:
            self.failures.append(f"{number}: took {spent:.1f} s")
        for name, content in self._content.items():
            if not (self._folder / name).exists() or (self._folder / name).read_bytes() != content:
                (self._folder / name).write_bytes(content)

    def finish(self) -> None:
        """The store has what it had, and that answers."""
        proved = verify(Bundle.read(resolve(SHIPPED_MODEL, self._store)), self._trust)
        if proved.manifest_sha256 != self._manifest["manifest_sha256"]:
            self.failures.append("another model is in use")
        self.counts["golden rows that the model in use answered in the end"] = proved.rows

    def _damaged(self, chance: random.Random, number: int) -> None:
        name = chance.choice(DAMAGED)
        content = self._another(name, chance)
        (self._folder / name).write_bytes(content)
        self.counts["damaged files"] += 1
        if name != SIGNATURE:
            refused = self._refusal(lambda: Bundle.read(self._folder), number)
        elif chance.randrange(SIGNED_EVERY):
            refused = self._refusal(
                lambda: check_signature(
                    self._content[MANIFEST], content, self._trust.keys, self._folder / SIGNATURE
                ),
                number,
            )
        else:
            refused = self._refusal(lambda: read_proved(self._folder, self._trust), number)
        self.counts["of them refused"] += bool(refused)
        if number % INSTALLED_EVERY == 1:
            self._not_installed(number)

    def _not_installed(self, number: int) -> None:
        before = sorted(self._store.rglob("*"))
        self._refusal(lambda: install(self._folder, self._store, self._trust), number)
        after = sorted(self._store.rglob("*"))
        if resolve(SHIPPED_MODEL, self._store) != self._in_use or before != after:
            self.failures.append(f"{number}: the store was changed")
        Bundle.read(self._in_use)
        self.counts["of them refused as an installation, which changed nothing"] += 1

    def _forged(self, chance: random.Random, number: int) -> None:
        name = chance.choice(FORGED)
        if name == MANIFEST:
            rewritten(self._folder, lambda manifest: self._change_an_entry(manifest, chance))
        else:
            with_file(self._folder, name, self._another(name, chance))
        self.counts["forged bundles, with right hashes"] += 1
        manifest = (self._folder / MANIFEST).read_bytes()
        signature, place = self._content[SIGNATURE], self._folder / SIGNATURE
        self.counts["of them refused by their signature"] += bool(
            self._refusal(
                lambda: check_signature(manifest, signature, self._trust.keys, place), number
            )
        )
        try:
            bundle = Bundle.read(self._folder)
        except MultaError as error:
            self._judge(error, number)
            self.counts["of them without keys refused unrun"] += 1
            return
        try:
            verify(bundle)
        except MultaError as error:
            self._judge(error, number)
            crashed = "crashed" in str(error)
            self.counts["of them without keys refused by their golden vectors"] += not crashed
            self.counts["of them without keys refused as they crashed the child"] += crashed
            return
        self.counts["of them without keys that answered their golden vectors"] += 1

    def _refusal(self, look: Any, number: int) -> bool:
        """Whether the bundle was refused, in the one way that there is."""
        try:
            look()
        except MultaError as error:
            self._judge(error, number)
            return True
        self.failures.append(f"{number}: was not refused")
        return False

    def _judge(self, error: MultaError, number: int) -> None:
        text = str(error)
        if type(error) is not BundleError or "\n" in text or str(self._folder) not in text:
            self.failures.append(f"{number}: {type(error).__name__}: {text}")

    def _another(self, name: str, chance: random.Random) -> bytes:
        """Other bytes in place of the file's, which do not mean the same."""
        original = self._content[name]
        while True:
            content = damaged(original, chance)
            if content != original and not (name == MANIFEST and self._means_the_same(content)):
                return content

    def _means_the_same(self, content: bytes) -> bool:
        """Whether a manifest is only laid out otherwise, and so is the manifest that it was."""
        try:
            return bool(json.loads(content) == self._manifest)
        except ValueError:
            return False

    def _change_an_entry(self, manifest: dict[str, Any], chance: random.Random) -> None:
        """Changes one value of what the sensor reads, however deep it lies."""
        document: Any = manifest
        before = copy.deepcopy(manifest)
        keys = ("name", "version", "features", "signatures", "tasks", "files", "format_version")
        key: Any = chance.choice(keys)
        while isinstance(document[key], dict | list) and document[key] and chance.random() < 0.9:
            document = document[key]
            key = chance.choice(
                sorted(document) if isinstance(document, dict) else range(len(document))
            )
        others = [None, True, -1, 0, 2**53 - 2, 1e300, "", "\x00", "x" * 300, [], {}, document[key]]
        document[key] = chance.choice(others)
        if isinstance(document[key], int | float) and chance.random() < 0.5:
            document[key] += chance.choice((1, -1, 0.25))
        if manifest == before:
            manifest["name"] = ""


def damaged(original: bytes, chance: random.Random) -> bytes:
    """The bytes with damage of one of the `WAYS`."""
    content = bytearray(original)
    size = len(content)
    way = chance.choice(WAYS)
    if way == "bits":
        for _ in range(chance.choice((1, 1, 1, 2, 8))):
            content[chance.randrange(size)] ^= 1 << chance.randrange(8)
    elif way == "cut":
        del content[chance.randrange(size) :]
    elif way == "swapped":
        length = chance.randrange(1, max(2, size // 4))
        first, second = (chance.randrange(size - length + 1) for _ in range(2))
        one, other = original[first : first + length], original[second : second + length]
        content[first : first + length], content[second : second + length] = other, one
    elif way == "noise":
        length = chance.randrange(1, max(2, min(size, 4096)))
        first = chance.randrange(size - length + 1)
        content[first : first + length] = chance.randbytes(length)
    else:
        place = chance.randrange(size + 1)
        content[place:place] = chance.randbytes(chance.choice((1, 4, 512)))
    return bytes(content)


def main(count: int, seed: int) -> dict[str, Any]:
    """Damages bundles.

    Args:
        count: how many.
        seed: of the damage, which its number decides then.

    Returns:
        What became of them, and ``failures``, which has to be empty.
    """
    with tempfile.TemporaryDirectory() as folder:
        corruption = Corruption(Path(folder), seed)
        for number in tqdm(range(1, count + 1), "corrupt models", disable=None):
            corruption.round(number)
        corruption.finish()
    return {**corruption.counts, "failures": corruption.failures}
