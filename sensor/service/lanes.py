"""From model folders to detectors, and from these to the lanes of the chain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensor.alerts.allow import AllowList
from sensor.alerts.home import HomeNetworks
from sensor.alerts.incidents import IncidentTracker
from sensor.alerts.rule import CountingRule, can_count
from sensor.errors import UsageError
from sensor.exchange import Group, Lanes
from sensor.lane import Detector, Lane, Watch
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.schema import PEER_LATENCY, FeatureSchema
from sensor.model.trust import Trust
from sensor.model.verification import verify
from sensor.tables import table_of


@dataclass(frozen=True, slots=True)
class Detecting:
    """What a run detects with.

    Attributes:
        models: folders of bundles, perhaps none.
        shadow: folders of bundles that are tried beside them.
        rule: whether the counting rule runs too.
        home: what is inside; alerts then tell where their ends are.
        allow: rules for flows that raise no alert; counted by whoever made the list.
        trust: which bundles may be used.
        proved: whether the bundles have been proved already, by the same program.
        evidence: whether incidents keep rows with their packets, but those of shadows.
    """

    models: Sequence[Path] = ()
    shadow: Sequence[Path] = ()
    rule: bool = True
    home: HomeNetworks | None = None
    allow: AllowList | None = None
    trust: Trust | None = None
    proved: bool = False
    evidence: bool = False


def build_lanes(wanted: Detecting) -> Lanes:
    """Reads and proves the bundles, and gives those with equal features one flow table.

    Raises:
        MultaError: as `build_groups` does.
    """
    lanes = []
    for schema, watches in build_groups(wanted):
        lane = Lane(table_of(schema))
        lane.watches = tuple(watches)
        lane.expect(())
        lanes.append(lane)
    return Lanes(lanes)


def build_groups(wanted: Detecting, in_force: Iterable[Watch] = ()) -> list[Group]:
    """Reads and proves bundles, and gathers what looks at the same rows.

    The counting rule joins the first group whose flows are connections with context, or is one of
    its own: under the other keys a flood would be one flow.

    Args:
        wanted: what is to detect.
        in_force: watches of a run; what is wanted and in force already is taken from there, and
            not proved again.

    Raises:
        MultaError: a bundle is missing, corrupt or does not answer its golden vectors, or no
            TFLite runtime is installed.
        UsageError: two detectors have the same name, or nothing is left to detect with.
    """
    known = {watch.identity: watch for watch in in_force}
    watches: list[tuple[FeatureSchema, Watch]] = []
    for path, shadow in [
        *((path, False) for path in wanted.models),
        *((path, True) for path in wanted.shadow),
    ]:
        bundle = Bundle.read(path, wanted.trust)
        identity = (bundle.manifest_sha256, shadow, _stated(wanted))
        watch = known.get(identity)
        if watch is None:
            if not wanted.proved:
                verify(bundle, wanted.trust)
            watch = _watch(BundleDetector(bundle), bundle.schema, wanted, identity, shadow=shadow)
        watches.append((bundle.schema, watch))
    if wanted.rule:
        schemas = [schema for schema, watch in watches if not watch.shadow and can_count(schema)]
        schema = schemas[0] if schemas else FeatureSchema()
        rule = CountingRule(schema)
        identity = (rule.fingerprint, False, _stated(wanted))
        watches.append((schema, known.get(identity) or _watch(rule, schema, wanted, identity)))
    for shadow in (False, True):
        names = [watch.detector.name for _, watch in watches if watch.shadow is shadow]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(
                f"two detectors are called {min(twice)}, so alerts could not name theirs; "
                "leave one out (the rule: --no-rule)"
            )
    if not any(not watch.shadow for _, watch in watches):
        raise UsageError("nothing to detect with: --no-models and --no-rule exclude each other")
    groups: dict[str, tuple[FeatureSchema, list[Watch]]] = {}
    for schema, watch in watches:
        groups.setdefault(schema.fingerprint(), (schema, []))[1].append(watch)
    # The first lane counts the flows of the run, which series of round-trip times are not.
    return sorted(groups.values(), key=lambda group: group[0].key == PEER_LATENCY)


def optional_of(lanes: Iterable[Lane]) -> set[str]:
    """Which of `sensor.packets.headers.ASKED_FOR` the tables want to have decoded."""
    return {name for lane in lanes for name in lane.table.schema.decoded}


def _watch(
    detector: Detector,
    schema: FeatureSchema,
    wanted: Detecting,
    identity: object,
    *,
    shadow: bool = False,
) -> Watch:
    # What a shadow leaves out is counted by nobody: a rule's count is of alerts that were not.
    rules = AllowList(wanted.allow.rules) if shadow and wanted.allow else wanted.allow
    rows = schema if wanted.evidence and not shadow else None
    tracker = IncidentTracker(detector, wanted.home, rules, rows)
    return Watch(detector, tracker, shadow, identity)


def _stated(wanted: Detecting) -> object:
    return wanted.home.networks if wanted.home else None, wanted.evidence
