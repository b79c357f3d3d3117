"""The model card of an annotating bundle: what it tells, how often that is right, and of what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sensor.model.schema import AnnotationSpec
from trainer.annotating.annotation_figures import Figures
from trainer.annotating.annotation_recipe import AnnotationRecipe
from trainer.evaluation import as_markdown
from trainer.traffic.inputs import CLASS, SCHEMA, TASKS
from trainer.traffic.material import PARTS, TEST, TRAINING, Material

ByTask = Mapping[str, Figures]


@dataclass(frozen=True)
class Evidence:
    """What a network was measured to be worth.

    Attributes:
        by_packets: of the test part, each flow by its first k packets, by k; the last is n.
        validation: of the validation part, on which thresholds and temperatures were chosen.
        within: of a network that has learnt earlier flows of the tested sources.
        parameters: weights of the network.
    """

    by_packets: Mapping[int, ByTask]
    validation: ByTask
    within: ByTask
    parameters: int

    @property
    def left_out(self) -> ByTask:
        """Of the test part, by all that the network may see."""
        return self.by_packets[max(self.by_packets)]

    def document(self) -> dict[str, Any]:
        """As a manifest has it beside what the sensor reads."""
        return {
            name: {
                "best_right_by_packets": {
                    str(k): round(each[name].best_right, 4) for k, each in self.by_packets.items()
                },
                "confusion": figures.confusion.tolist(),
                "best": figures.best.tolist(),
                "calibration_error": round(figures.calibration_error, 4),
                "validation": self.validation[name].document(),
                "within_sources": self.within[name].document(),
            }
            for name, figures in self.left_out.items()
        }


_LIMITS = """\
- It knows the classes above and no others. Whatever else a network carries gets one of these names
  too, or none: the probabilities tell these classes apart, and not the known from the unknown.
- Bandwidth and duration are told of the whole flow after its first packets: a guess about people
  and programs, not a measurement. What they came to, the sensor measures itself at the flow's end,
  and counts how often the guess was right (`multa-sensor status`). Believe that figure.
- It reads sizes, directions and gaps of packets. Another stack, another path or a sender who pads
  and delays changes what it says. It is no means to decide what anybody may do.
- It raises no alerts."""

_LAB = """\
**Trained on a laboratory's five services over QUIC: one server, one stack, one certificate, one
network.** Their shapes were drawn by a generator (`docs/lab.md`), not observed. On traffic of your
own its names for classes mean no more than "shaped like the lab's documents, drive, music, search,
video". It is there to show what the sensor does with such a bundle, and as a beginning: train your
own on captures of your network, as below."""

_OWN = """\
Captures with labels make one: folders of `capture.pcap` and `labels.csv`, whose first line declares
the classes and whose rows say which flows are what; bandwidth and duration label themselves.

```
# covered: traffic_class{calls|films|updates}
start,end,src,src_port,dst,dst_port,proto,task,value
1732180000.5,1732180030,10.0.0.7,40123,192.0.2.1,443,udp,traffic_class,films
```
```
multa-trainer recipe traffic-class --data labelled:FOLDER --out models/mine
multa-sensor replay new.pcap --models models/mine
```
`docs/training.md` says the rest."""


def annotation_card(
    material: Material,
    recipe: AnnotationRecipe,
    annotations: Sequence[AnnotationSpec],
    evidence: Evidence,
    name: str,
) -> str:
    """The card as Markdown.

    Args:
        material: the data set.
        recipe: what the bundle is made with.
        annotations: with their thresholds.
        evidence: what the network is worth.
        name: of the bundle.
    """
    least, n = annotations[0].least_packets, max(evidence.by_packets)
    network = (
        f"One LMMoE (E = {recipe.experts} LSTM experts of {recipe.units} units, "
        f"{evidence.parameters} weights, stored with 16 bits) for `multa-sensor`. It annotates "
        f"flows of at least {least} packets, by no more than their first {n}: when the flow has "
        f"had {n}, or ended, and before that once, {SCHEMA.decide_after_ms // 1000} s after its "
        "first packet. It sees inter-arrival times and lengths with direction; no payload, "
        "address, port, or other flow."
    )
    data = (
        f"{material.about[0].upper()}{material.about[1:]}. {len(material)} flows of "
        f"{len(material.sources)} sources; a source is in one part only."
    )
    tested = (
        f"Flows of sources that were left out, each by its first {n} packets. *Right* is the share "
        "of the flows told a class for which it is the true one; *commonest* is how often one "
        "would be right who always says the commonest class. *Within the sources*: another "
        "network of the same settings, taught the first 55 % of each source's flows and tested on "
        "the last 30 %. Such figures flatter; they are for comparison."
    )
    below = (
        "No class is named below a probability that was chosen on the validation part, each flow "
        f"by its first {', '.join(map(str, evidence.by_packets))} packets: the least at which "
        f"{recipe.right:.0%} of those that are told are right, or, where there is none, the one "
        f"that tells {recipe.told:.0%}. Probabilities are those of a softmax with a temperature "
        "from the same flows."
    )
    parts = [f"# {name} {recipe.version}", network]
    parts += [_LAB] if material.name == "quic" else []
    parts += ["## What it tells", "\n".join(map(_task, annotations)), below]
    parts += ["## How often that is right", tested, _table(annotations, evidence)]
    parts += ["By the packets seen, of the same flows:", _by_packets(evidence)]
    parts += [f"Confusions of {TASKS[CLASS]}, of flows that are told a class:"]
    parts += [_confusion(annotations[CLASS], evidence.left_out[TASKS[CLASS]])]
    parts += ["## Limits, and what it is not for", _LIMITS]
    parts += ["## Train your own", _OWN]
    parts += ["## Data", data, _sources(material, annotations[CLASS])]
    return "\n\n".join(parts) + "\n"


def _task(annotation: AnnotationSpec) -> str:
    classes = ", ".join(annotation.classes)
    named = "of flows like those that it was taught"
    if annotation.measured:
        named = "of the whole flow, " + (
            "in bits of IP datagrams a second"
            if annotation.measured == "bandwidth"
            else "from its first packet to its last"
        )
    return f"- **{annotation.name}** {named}: {classes}. Named from {annotation.abstain_below:g}."


def _table(annotations: Sequence[AnnotationSpec], evidence: Evidence) -> str:
    rows = [["", "flows", "told", "right", "best class right", "commonest", "calibration error"]]
    rows[0] += ["within the sources: told", "right"]
    for annotation in annotations:
        of, within = evidence.left_out[annotation.name], evidence.within[annotation.name]
        shares = [1 - of.abstained, of.accuracy, of.best_right, of.commonest]
        cells = [f"{share:.1%}" for share in shares] + [f"{of.calibration_error:.3f}"]
        cells += [f"{share:.1%}" for share in (1 - within.abstained, within.accuracy)]
        rows.append([annotation.name, str(of.flows), *cells])
    return as_markdown(rows)


def _by_packets(evidence: Evidence) -> str:
    rows = [["", *(str(k) for k in evidence.by_packets)]]
    for name in evidence.left_out:
        of = [each[name] for each in evidence.by_packets.values()]
        rows += [
            [f"{name}: best class right", *(f"{each.best_right:.1%}" for each in of)],
            [f"{name}: told", *(f"{1 - each.abstained:.1%}" for each in of)],
            [f"{name}: right of these", *(f"{each.accuracy:.1%}" for each in of)],
        ]
    return as_markdown(rows)


def _confusion(annotation: AnnotationSpec, figures: Figures) -> str:
    silent = figures.best.sum(axis=1) - figures.confusion.sum(axis=1)
    rows = [["true \\ told", *annotation.classes, "none"]]
    for name, counts, none in zip(annotation.classes, figures.confusion, silent, strict=True):
        rows.append([name, *map(str, counts.tolist()), str(none)])
    return as_markdown(rows)


def _sources(material: Material, annotation: AnnotationSpec) -> str:
    rows = [["part", "sources", "flows", *annotation.classes, "whole flows"]]
    for place in range(TRAINING, TEST + 1):
        of = material.part == place
        counts = [np.count_nonzero(material.label[of] == k) for k in range(len(annotation.classes))]
        sources = np.unique(material.source[of]).size
        whole = np.count_nonzero(material.whole & of)
        numbers = (sources, np.count_nonzero(of), *counts, whole)
        rows.append([PARTS[place], *map(str, numbers)])
    return as_markdown(rows)
