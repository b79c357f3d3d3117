"""Sharing between chosen tasks, and scores that feed other tasks, beside the paper's network.

All variants learn the same drawn flows of the lab with the same settings, and are tested as the
lab's part of the acceptance is (`trainer.proof.acceptance`), whose network the first variant is.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trainer.evaluation import as_markdown, summary
from trainer.proof.acceptance import LEFT_OUT, SETTINGS, WITHIN, Trial, trials
from trainer.proof.material import Material
from trainer.settings import Settings

_FLOODS = ("syn_dos", "ssdp_flood", "udp_reflection", "scan")
_CONNECTIONS = ("ssl_renegotiation", "brute_force", "slow_http")

VARIANTS: dict[str, Settings] = {
    "all share two experts": SETTINGS,
    "an expert for floods and scans, one for connections": replace(
        SETTINGS, experts=1, groups=(_FLOODS, _CONNECTIONS)
    ),
    "scores feed: reflection to SSDP flood, scan to SYN flood, guesses to slow HTTP": replace(
        SETTINGS,
        feeds=(
            ("udp_reflection", "ssdp_flood"),
            ("scan", "syn_dos"),
            ("brute_force", "slow_http"),
        ),
    ),
}


def variants(material: Material) -> dict[str, Trial]:
    """The lab's trial with each variant's settings, by what the variant is."""
    lab = trials(material)[-1]
    return {
        about: lab
        if settings == lab.experiment.settings
        else replace(
            lab, experiment=replace(lab.experiment, name=f"wiring-{place}", settings=settings)
        )
        for place, (about, settings) in enumerate(VARIANTS.items())
    }


def wirings_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Areas of all variants as Markdown.

    Args:
        found: of each variant ``about``, ``parameters`` and ``lines`` as
            `trainer.proof.acceptance.measured` gives them.
    """
    rows = [["", *(each["about"] for each in found)]]
    rows.append(["weights", *(str(each["parameters"]) for each in found)])
    for place, line in enumerate(found[0]["lines"]):
        rows.append([f"{line['name']} ({line['column']})"])
        rows[-1] += [summary(_areas(each["lines"][place])) for each in found]
    for column in (WITHIN, LEFT_OUT):
        rows.append([f"mean, {column}"])
        for each in found:
            its = [_areas(line) for line in each["lines"] if line["column"] == column]
            middle = [statistics.median(areas) for areas in its if areas]
            rows[-1].append(f"{statistics.fmean(middle):.4f}" if middle else "–")
    return as_markdown(rows)


def _areas(line: Mapping[str, Any]) -> list[float]:
    return [seed["auc"] for seed in line["models"]["lmmoe"] if seed["auc"] is not None]
