"""Fig. 4, made and read again: networks, sizes by Algorithm 1, baselines, and what all of it costs.

Each part is kept by itself as soon as it is there. Costs come last, since all variants are timed
in one run; they are kept for the very files that were timed.
"""

import math
import platform
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from sensor.packets.headers import Headers
from trainer.baselines.packet_flows import parts_of
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import Patterns
from trainer.datasets.extraction import Recording
from trainer.executors import Workers
from trainer.kept import identity, read_kept, write_kept
from trainer.reproduce.courses import SEEDS, TASKS
from trainer.reproduce.fig4 import sceptic, sizing, unusual
from trainer.reproduce.fig4.cost import BATCHES, ROUNDS, Model, Timed, Workload, timed
from trainer.reproduce.fig4.instructions import counted, missing
from trainer.reproduce.fig4.memory import resident_kib
from trainer.reproduce.fig4.networks import FOLDER, Networks
from trainer.reproduce.fig4.sceptic import Sceptic
from trainer.reproduce.fig4.sizing import Sized
from trainer.reproduce.fig4.unusual import Instances
from trainer.reproduce.fig4.variants import FIXED, Variant
from trainer.reproduce.material import LEFT_OUT, Material
from trainer.reproduce.results import Say
from trainer.tuning.algorithm1 import Candidate
from trainer.tuning.candidates import Trained

FORMAT = 1

TITLE = "detection against cost (Fig. 4)"

_LEAST_PACKETS = 1_024
"""Of the block of a recording by which work on packets is timed."""


@dataclass(frozen=True)
class Costs:
    """What was measured of all variants in one run.

    Attributes:
        timed: microseconds.
        resident_kib: by variant.
        instructions: by variant, of a full row at batch 1; empty where callgrind is missing.
        uncounted: why they are empty.
        machine: on which.
        date: on which.
    """

    timed: Timed
    resident_kib: dict[str, int]
    instructions: dict[str, int]
    uncounted: str
    machine: str
    date: str


@dataclass(frozen=True)
class Fig4:
    """All that there is of the figure.

    Attributes:
        networks: read what a variant is worth.
        variants: complete ones.
        missing: how many others there are.
        sized: searches of Algorithm 1.
        kitsune: by size and seed.
        sceptic: trees and rule.
        costs: of the variants, if all that was timed is still what is there.
    """

    networks: Networks
    variants: tuple[Variant, ...]
    missing: int
    sized: tuple[Sized, ...]
    kitsune: tuple[Instances, ...]
    sceptic: Sceptic | None
    costs: Costs | None

    @property
    def begun(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.variants or self.kitsune or self.sceptic)


class Step:
    """The step ``fig4`` of a reproduction.

    Args:
        material: drawn flows.
        dataset: that they were drawn from.
        parts_of: ``train`` or ``test`` for each recording.
        recordings: all that the dataset was made of.
        work: folder of all results.
    """

    def __init__(
        self,
        material: Material,
        dataset: Dataset,
        parts_of: dict[str, str],
        recordings: Sequence[Recording],
        work: Path,
    ) -> None:
        self._material = material
        self._recordings = recordings
        self._work = work
        self._networks = Networks(material, work)
        self._rows = sizing.rows_to_size_on(dataset, parts_of, material)

    def make(self, workers: Workers, say: Say) -> None:
        """Does what is not there.

        Raises:
            OutputError: the folder can't be written.
            MultaError: a part of it failed.
        """

        def told(candidate: Candidate, trained: Trained) -> None:
            say(f"Algorithm 1: {candidate}, {trained.parameters} weights")

        self._networks.make(FIXED, workers, say)
        sized = sizing.size(self._rows, self._folder, workers, told, math.inf)
        self._networks.make(sizing.variants(sized), workers, say)
        self._baselines(workers, say)
        if self._kept_costs(self._complete(sized)) is None:
            say("timing all variants in turn")
            self._measure_costs(self._complete(sized))

    def known(self, workers: Workers) -> Fig4:
        """What is kept; trains nothing."""
        sized = sizing.size(self._rows, self._folder, workers, lambda *_: None, 0)
        wanted = dict.fromkeys((*FIXED, *sizing.variants(sized)))
        complete = self._complete(sized)
        return Fig4(
            self._networks,
            complete,
            len(wanted) - len(complete),
            tuple(sized),
            tuple(unusual.known(self._material, self._work)),
            sceptic.known(self._material, self._work),
            self._kept_costs(complete),
        )

    @property
    def _folder(self) -> Path:
        return self._work / FOLDER

    def _complete(self, sized: Sequence[Sized]) -> tuple[Variant, ...]:
        wanted = dict.fromkeys((*FIXED, *sizing.variants(sized)))
        return tuple(each for each in wanted if self._networks.complete(each))

    def _baselines(self, workers: Workers, say: Say) -> None:
        kitsune: Future[list[Instances]] | None = None
        doubts: Future[Sceptic] | None = None
        if not unusual.known(self._material, self._work):
            kitsune = workers.submit(unusual.instances, self._material, self._recordings)
        if sceptic.known(self._material, self._work) is None:
            doubts = workers.submit(sceptic.measure, self._material)
        if doubts is not None:
            sceptic.keep(self._material, self._work, doubts.result())
            say("trees and the counting rule: tested")
        if kitsune is not None:
            unusual.keep(self._material, self._work, kitsune.result())
            say("Kitsune: tested")

    def _models(self, variant: Variant) -> tuple[Model, ...]:
        return tuple(
            (self._networks.tflite(each, SEEDS[0]), each.tasks) for each in variant.networks
        )

    def _measure_costs(self, variants: Sequence[Variant]) -> None:
        schema = self._material.dataset.schema
        models = {each.name: self._models(each) for each in variants}
        size = unusual.LARGEST[1]
        kitnets = unusual.trained(
            self._material, self._recordings, largest=(size,), seeds=SEEDS[:1]
        )
        workload = Workload(
            models,
            self._rows_to_time(),
            sceptic.grown(self._material),
            tuple(kitnets[size, SEEDS[0], task] for task in TASKS),
            self._packets(),
        )
        measured = timed(workload)
        key, path = self._place(variants)
        costs = Costs(
            measured,
            {name: resident_kib(each, schema) for name, each in models.items()},
            counted(models, schema),
            missing(),
            _machine(),
            f"{datetime.now(timezone.utc):%Y-%m-%d}",
        )
        write_kept(path, key, costs=asdict(costs))

    def _rows_to_time(self) -> dict[int, Any]:
        """Left-out rows that fill the shortest and the longest signature, by its length."""
        patterns = Patterns.of(self._material.dataset)
        distinct = np.unique(patterns.number[self._material.parts[LEFT_OUT]])
        encoded = patterns.encoded.take(distinct)
        lengths = self._material.dataset.schema.lengths
        rows = {}
        for length in (lengths[0], lengths[-1]):
            holds = np.flatnonzero(encoded.length <= length)
            longest = holds[np.argsort(-encoded.length[holds].astype(int), kind="stable")]
            rows[length] = encoded.take(np.resize(longest, max(BATCHES)))
        return rows

    def _packets(self) -> Headers:
        """A block of packets of a recording that is not learnt from."""
        blocks = (
            headers
            for each in self._recordings
            if self._is_left_out(each)
            for _, headers, _ in parts_of(each)
        )
        return next(block for block in blocks if len(block) >= _LEAST_PACKETS)

    def _is_left_out(self, recording: Recording) -> bool:
        dataset = self._material.dataset
        source = [record.name for record in dataset.sources].index(recording.name)
        return bool((self._material.parts[LEFT_OUT] & (dataset.source == source)).any())

    def _kept_costs(self, variants: Sequence[Variant]) -> Costs | None:
        key, path = self._place(variants)
        if (document := read_kept(path, key)) is None:
            return None
        try:
            entries = document["costs"]
            found = entries.pop("timed")
            rows = {
                name: {int(n): {int(b): t for b, t in each.items()} for n, each in by.items()}
                for name, by in found["rows"].items()
            }
            packets = {
                name: {int(b): t for b, t in by.items()} for name, by in found["packets"].items()
            }
            return Costs(Timed(found["runtime"], rows, packets), **entries)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def _place(self, variants: Sequence[Variant]) -> tuple[dict[str, Any], Path]:
        files = {
            variant.name: [
                outcome.sha256
                for each in variant.networks
                if (outcome := self._networks.outcome(each, SEEDS[0]))
            ]
            for variant in variants
        }
        key, digest = identity(format=FORMAT, files=files, rounds=ROUNDS, batches=BATCHES)
        return key, self._folder / f"costs-{digest[:12]}.json"


def _machine() -> str:
    """Processor and number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()
