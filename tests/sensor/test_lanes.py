import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from forged import rewritten

from sensor.errors import UsageError
from sensor.model.bundle import Bundle
from sensor.model.schema import KEYS
from sensor.service.lanes import Detecting, build_lanes


def test_rule_alone_has_a_lane():
    (lane,) = build_lanes(Detecting())
    assert [detector.name for detector in lane.detectors] == ["counting-rule"]
    assert lane.table.schema.context


def test_nothing_to_detect_with_is_refused():
    with pytest.raises(UsageError, match="nothing to detect with"):
        build_lanes(Detecting(rule=False))


def test_rule_shares_the_flow_table_of_the_model(random_bundle):
    (lane,) = build_lanes(Detecting([random_bundle]))
    assert [detector.name for detector in lane.detectors] == ["random", "counting-rule"]
    assert lane.table.schema.fingerprint() == lane.detectors[0].fingerprint
    random, rule = lane.detectors
    assert (random.version, len(random.model_sha256)) == ("0.0.1", 64)
    assert (rule.version, rule.model_sha256) == ("1", "")


@pytest.mark.parametrize("key", KEYS[1:])
def test_rule_counts_connections_beside_a_model_of_another_key(random_bundle, tmp_path, key):
    """Where a flow gathers connections, a flood is one flow with the context of its first one."""
    schema = replace(Bundle.read(random_bundle).schema, key=key)
    copy = shutil.copytree(random_bundle, tmp_path / key)
    path = rewritten(copy, lambda manifest: manifest.update(features=schema.to_manifest()))
    ours, rules = build_lanes(Detecting([path]))
    assert [detector.name for detector in ours.detectors] == ["random"]
    assert [detector.name for detector in rules.detectors] == ["counting-rule"]
    assert (ours.table.schema.key, rules.table.schema.key) == (key, "five_tuple")
    assert rules.table.schema.context


def test_same_name_twice_is_refused(random_bundle):
    with pytest.raises(UsageError, match="called random"):
        build_lanes(Detecting([random_bundle, random_bundle]))


def test_a_model_with_the_name_of_the_rule_is_refused(random_bundle, tmp_path):
    copy = shutil.copytree(random_bundle, tmp_path / "counting-rule")
    path = rewritten(copy, lambda manifest: manifest.update(name="counting-rule"))
    with pytest.raises(UsageError, match=r"called counting-rule.*--no-rule"):
        build_lanes(Detecting([path]))
    (lane,) = build_lanes(Detecting([path], rule=False))
    assert [detector.name for detector in lane.detectors] == ["counting-rule"]


def test_lanes_are_built_without_tensorflow(random_bundle):
    code = (
        "import sys; from pathlib import Path\n"
        "from sensor.service.lanes import Detecting, build_lanes\n"
        f"build_lanes(Detecting([Path('{random_bundle}')]))\n"
        "print([name for name in sys.modules if name.startswith(('tensorflow', 'keras'))])"
    )
    done = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert done == "[]\n"
