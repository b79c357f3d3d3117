"""Alerts by their names."""

import pytest
from alert_lines import alert_line, withheld_line

from sensor.errors import UsageError
from sensor.reporting.alert_find import last_event, require_beginning
from sensor.reporting.alert_log import parse

ALERTS = [
    parse(line)
    for line in (
        alert_line(0, alert_id="00a1000000000001"),
        alert_line(1, alert_id="00a1000000000002"),
        withheld_line(2, scan=3),
        alert_line(9, "end", alert_id="00a1000000000001"),
    )
]


def test_the_last_event_of_an_incident_is_found():
    assert last_event(ALERTS, "00a1000000000001").event == "end"
    assert last_event(ALERTS, "00a1000000000002").event == "start"
    assert last_event(ALERTS[:3], "00a1000000000001").event == "start"
    assert last_event(ALERTS, "00a2") is None


def test_a_beginning_is_enough_if_it_is_of_one_alert():
    assert last_event(ALERTS[1:3], "00a1") is ALERTS[1]
    with pytest.raises(UsageError, match="00a1: 00a1000000000001 and 00a1000000000002 both begin"):
        last_event(ALERTS, "00a1")


@pytest.mark.parametrize("text", ["", "00a", "00A1", "../1", "0" * 17, "00a1\n", "xyzw"])
def test_what_can_be_no_name_is_refused(text):
    with pytest.raises(UsageError, match="is no alert_id"):
        require_beginning(text)
