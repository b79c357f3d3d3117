"""Finds an alert by its `alert_id`, of which the first digits will do."""

import re
from collections.abc import Iterable

from sensor.errors import UsageError
from sensor.reporting.alert_log import Alert

_BEGINNING = re.compile(r"[0-9a-f]{4,16}")


def require_beginning(alert_id: str) -> None:
    """Proves that a text can be an `alert_id` or the beginning of one.

    Raises:
        UsageError: it can't.
    """
    if not _BEGINNING.fullmatch(alert_id):
        raise UsageError(
            f"{alert_id!r}: is no alert_id; give its 16 digits and letters, or the first 4 or more"
        )


def last_event(alerts: Iterable[Alert], alert_id: str) -> Alert | None:
    """The last of these alerts that is about an incident; None if none of them is.

    Args:
        alerts: of logs, in their order.
        alert_id: of the incident, or its first digits.

    Raises:
        UsageError: that is no `alert_id`, or several begin like this.
        MultaError: the logs can't be read.
    """
    require_beginning(alert_id)
    found: Alert | None = None
    for alert in alerts:
        if not alert.alert_id.startswith(alert_id):
            continue
        if found is not None and found.alert_id != alert.alert_id:
            raise UsageError(
                f"{alert_id}: {found.alert_id} and {alert.alert_id} both begin like this; give "
                "more digits"
            )
        found = alert
    return found
