"""From model folders to the lanes of the chain."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from sensor.alerts.home import HomeNetworks
from sensor.alerts.rule import CountingRule, can_count
from sensor.errors import UsageError
from sensor.exchange import Lanes
from sensor.flows.table import FlowTable
from sensor.lane import Detector, Lane
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.schema import FeatureSchema
from sensor.model.verification import verify


def build_lanes(
    models: Sequence[Path],
    *,
    rule: bool,
    home: HomeNetworks | None = None,
    proved: bool = False,
    evidence: bool = False,
) -> Lanes:
    """Reads and proves the bundles, and gives those with equal features one flow table.

    The counting rule joins the first lane whose flows are connections with context, or has one of
    its own: under the other keys a flood would be one flow.

    Args:
        models: folders of bundles, perhaps none.
        rule: whether the counting rule runs beside them.
        home: what is inside; alerts then tell where their ends are.
        proved: whether the bundles have been proved already, by the same program.
        evidence: whether incidents keep rows with their packets (`docs/evidence.md`).

    Raises:
        MultaError: a bundle is missing, corrupt or does not answer its golden vectors, or no
            TFLite runtime is installed.
        UsageError: two detectors have the same name, or nothing is left to detect with.
    """
    detectors: list[tuple[FeatureSchema, Detector]] = []
    for path in models:
        bundle = Bundle.read(path)
        if not proved:
            verify(bundle)
        detectors.append((bundle.schema, BundleDetector(bundle)))
    if rule:
        schemas = [schema for schema, _ in detectors if can_count(schema)]
        schema = schemas[0] if schemas else FeatureSchema()
        detectors.append((schema, CountingRule(schema)))
    names = [detector.name for _, detector in detectors]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(
            f"two detectors are called {min(twice)}, so alerts could not name theirs; "
            "leave one out (the rule: --no-rule)"
        )
    if not detectors:
        raise UsageError("nothing to detect with: --no-models and --no-rule exclude each other")
    groups: dict[str, list[tuple[FeatureSchema, Detector]]] = {}
    for schema, detector in detectors:
        groups.setdefault(schema.fingerprint(), []).append((schema, detector))
    return Lanes(
        Lane(FlowTable(group[0][0]), [detector for _, detector in group], home, evidence=evidence)
        for group in groups.values()
    )


def optional_of(lanes: Iterable[Lane]) -> set[str]:
    """Which of `sensor.packets.headers.OPTIONAL_TYPES` the tables want to have decoded."""
    return {name for lane in lanes for name in lane.table.schema.optional}
