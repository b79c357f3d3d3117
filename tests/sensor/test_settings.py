from dataclasses import replace
from pathlib import Path

import pytest

from sensor.alerts.allow import AllowRule
from sensor.service.config.setting_tables import FORWARD, RELOAD, RESTART
from sensor.service.config.settings import DEFINITIONS, WITHOUT_A_FILE, Settings, changes

RULE = AllowRule(comment="why", task="scan", place="a:1")


def test_values_are_known_by_their_keys():
    settings = Settings()
    for key, definition in DEFINITIONS.items():
        assert settings.value(key) == definition.default
        assert settings.origin(key) == "default"


def test_options_replace_what_they_say_and_nothing_else():
    before = Settings().with_values({"capture.workers": 2}, {"capture.workers": "f:1"})
    after = before.overridden({"capture.workers": None, "capture.source": "tshark"})
    assert (after.capture.workers, after.origin("capture.workers")) == (2, "f:1")
    assert (after.capture.source, after.origin("capture.source")) == ("tshark", "command line")
    assert before.capture.source == "native"
    assert after.overridden({"capture.workers": 1}).origin("capture.workers") == "command line"


def test_settings_do_not_change():
    with pytest.raises(TypeError):
        Settings().network.devices["aa"] = "b"
    with pytest.raises(TypeError):
        Settings().origins["aa"] = "b"


def test_without_a_file_nothing_is_written_but_alerts_on_standard_output():
    assert WITHOUT_A_FILE.alerts.output == "-"
    written = ("models.shadow_log", "evidence.directory", "health.status", "health.metrics")
    written = (*written, "flows.log")
    assert [WITHOUT_A_FILE.value(key) for key in written] == [None] * 5
    same = set(DEFINITIONS) - {*written, "alerts.output"}
    assert all(WITHOUT_A_FILE.value(key) == Settings().value(key) for key in same)


def test_changes_are_told_by_what_takes_them_up():
    before = Settings(allow=(RULE,))
    after = before.overridden(
        {
            "capture.workers": 2,
            "network.devices": {"10.0.0.1": "nas"},
            "forward.state": Path("/x"),
            "models.rule": True,  # as before
        }
    )
    assert changes(before, after, RESTART) == ["capture.workers"]
    assert changes(before, after, RELOAD) == ["network.devices"]
    assert changes(before, after, FORWARD) == ["forward.state"]
    # a rule that has only moved in its file is the same
    assert changes(before, replace(before, allow=(replace(RULE, place="a:9"),)), RELOAD) == []
    assert changes(before, replace(before, allow=()), RELOAD) == ["allow"]
