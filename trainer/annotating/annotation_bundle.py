"""From flows with traffic classes to an annotating bundle, with its figures and model card."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import SequenceBatch
from sensor.model.bundle import Bundle
from sensor.model.encoding import encode
from sensor.model.schema import AnnotationSpec
from trainer.annotating.abstention import abstain_below
from trainer.annotating.annotation_card import Evidence, annotation_card
from trainer.annotating.annotation_figures import Figures, figures, split_columns
from trainer.annotating.annotation_recipe import AnnotationRecipe, settings
from trainer.annotating.targets import Target, targets
from trainer.annotating.teaching import probabilities, shortened, teach
from trainer.bundling import GOLDEN_CANDIDATES, commit
from trainer.export import convert, converted_scores, export
from trainer.runs import versions
from trainer.traffic.inputs import LEAST_PACKETS, SCHEMA, TASKS
from trainer.traffic.material import PARTS, TEST, TRAINING, VALIDATION, Material

WITHIN = (0.55, 0.7)
"""Where the flows of each source are cut in time for figures within the sources: what is before the
first cut is learnt, what is behind the second is tested."""

Scores = Mapping[str, NDArray[np.float32]]
"""``(flows, classes)`` of each task."""

Say = Callable[[str], object]


def annotate(material: Material, recipe: AnnotationRecipe, out: Path, say: Say) -> Bundle:
    """Trains a network on a data set and writes its bundle.

    Args:
        material: the data set.
        recipe: what the bundle is made with.
        out: its folder, after which it is named.
        say: told what is being done.

    Raises:
        MissingInputError: a part of the data set has nothing to learn from or to measure.
        LabelError: the data set has no classes, or no ranges of bandwidth or duration.
        MultaError: the bundle can't be made, proven or written.
    """
    material.require_parts()
    wanted = targets(material, recipe.buckets)
    counts = [np.count_nonzero(material.part == part) for part in range(len(PARTS))]
    say(
        f"{material.name}: {counts[TRAINING]} flows to learn from, {counts[VALIDATION]} to tune "
        f"on, {counts[TEST]} to test on"
    )
    say(f"learning {', '.join(TASKS)}: {recipe.epochs} turns")
    network = _Network.of(material, wanted, recipe)
    say("learning once more within the sources, for the model card")
    within = _by_time(material)
    model = teach(within, wanted, recipe)
    tested = np.flatnonzero(within.part == TEST)
    scores = probabilities(model, shortened(within.rows.take(tested), SCHEMA.n))
    evidence = Evidence(
        by_packets={k: network.figures(material, wanted, TEST, k) for k in SCHEMA.lengths},
        validation=network.figures(material, wanted, VALIDATION, SCHEMA.n),
        within=_figures(network.annotations, wanted, scores, tested),
        parameters=int(network.model.count_params()),
    )
    card = annotation_card(material, recipe, network.annotations, evidence, out.name)
    left_out = evidence.by_packets[SCHEMA.n]
    golden, labels = _golden(material, wanted)
    return export(
        network.model,
        SCHEMA,
        (),
        golden,
        _provenance(material, recipe),
        {
            "annotations": {name: each.document() for name, each in left_out.items()},
            "annotations_in_detail": evidence.document(),
        },
        {name: {"told": each.confusion.sum(axis=0).tolist()} for name, each in left_out.items()},
        card,
        out,
        version=recipe.version,
        annotations=network.annotations,
        labels=labels,
        tflite=network.tflite,
    )


@dataclass(frozen=True)
class _Network:
    """A trained network as it will be deployed, with what its outputs mean."""

    model: keras.Model
    tflite: bytes
    annotations: tuple[AnnotationSpec, ...]

    @classmethod
    def of(
        cls, material: Material, wanted: Sequence[Target], recipe: AnnotationRecipe
    ) -> "_Network":
        """Learns the training part; thresholds are those of the validation part."""
        model = teach(material, wanted, recipe)
        specs = tuple(
            AnnotationSpec(
                target.name,
                target.classes,
                LEAST_PACKETS,
                measured=target.measured,
                edges=target.edges,
            )
            for target in wanted
        )
        network = cls(model, convert(model, SCHEMA), specs)
        rows = np.flatnonzero(material.part == VALIDATION)
        held_out = material.rows.take(rows)
        every = [network.scores(held_out, k) for k in SCHEMA.lengths]
        chosen = {
            target.name: abstain_below(
                np.concatenate([scores[target.name] for scores in every]),
                np.tile(target.labels[rows], len(every)),
                recipe.right,
                recipe.told,
            )
            for target in wanted
        }
        return replace(
            network,
            annotations=tuple(replace(each, abstain_below=chosen[each.name]) for each in specs),
        )

    def scores(self, rows: SequenceBatch, k: int) -> Scores:
        """Of flows by their first k packets."""
        encoded = encode(SCHEMA, shortened(rows, k))
        names = [each.name for each in self.annotations]
        return split_columns(self.annotations, converted_scores(self.tflite, encoded, names))

    def figures(
        self, material: Material, wanted: Sequence[Target], part: int, k: int
    ) -> dict[str, Figures]:
        """Of a part, each flow by its first k packets."""
        rows = np.flatnonzero(material.part == part)
        scores = self.scores(material.rows.take(rows), k)
        return _figures(self.annotations, wanted, scores, rows)


def _figures(
    annotations: Sequence[AnnotationSpec],
    wanted: Sequence[Target],
    scores: Scores,
    rows: NDArray[np.intp],
) -> dict[str, Figures]:
    return {
        each.name: figures(each, scores[each.name], target.labels[rows])
        for each, target in zip(annotations, wanted, strict=True)
    }


def _by_time(material: Material) -> Material:
    """The same flows, each source cut in time instead of being in one part."""
    part = np.empty_like(material.part)
    for source in range(len(material.sources)):
        rows = np.flatnonzero(material.source == source)
        rows = rows[np.argsort(material.rows.flow_start_ns[rows], kind="stable")]
        ends = [round(share * rows.size) for share in WITHIN]
        for number, piece in enumerate(np.split(rows, ends)):
            part[piece] = (TRAINING, VALIDATION, TEST)[number]
    return replace(material, part=part)


def _golden(
    material: Material, wanted: Sequence[Target]
) -> tuple[SequenceBatch, NDArray[np.float32]]:
    """Rows of all lengths among which golden vectors are chosen, and what they are labelled as."""
    share = GOLDEN_CANDIDATES // len(SCHEMA.lengths)
    rows = np.linspace(0, len(material) - 1, min(len(material), share)).astype(np.intp)
    chosen = material.rows.take(rows)
    every = [shortened(chosen, k) for k in SCHEMA.lengths]
    labels = np.stack([target.labels[rows] for target in wanted], axis=1).astype(np.float32)
    labels[labels < 0] = np.nan
    return SequenceBatch.concatenate(every), np.tile(labels, (len(every), 1))


def _provenance(material: Material, recipe: AnnotationRecipe) -> dict[str, Any]:
    """Data, software and settings that the network came from."""
    sources = []
    for place, name in enumerate(material.sources):
        rows = np.flatnonzero(material.source == place)
        if rows.size:
            part = PARTS[int(material.part[rows[0]])]
            sources.append({"name": name, "part": part, "flows": int(rows.size)})
    return {
        "commit": commit(Path(__file__).parents[2]),
        "versions": versions(),
        "seed": recipe.seed,
        "settings": settings(recipe),
        "data": {
            "name": material.name,
            "about": material.about,
            "flows_sha256": material.identity,
        },
        "sources": sources,
    }
