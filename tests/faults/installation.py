"""A configuration with all that a sensor writes in one place."""

from pathlib import Path

INTERVAL_S = 1
"""How often the status is written: as often as it may."""


def configuration(
    path: Path, port: str, place: Path, models: str = "", *, rule: bool = True
) -> Path:
    """Writes a configuration, or replaces it whole.

    Args:
        path: of the file.
        port: name of the interface.
        place: folder for the alert log (``log/alerts.json``), evidence, status and metrics, as the
            sensor sees it.
        models: path of a bundle; the shipped one if it is empty.
        rule: whether the counting rule runs too.
    """
    new = path.with_suffix(".new")
    new.write_text(
        f"""
[capture]
interfaces = ["{port}"]
[models]
active = ["{models or "iot-gateway"}"]
rule = {str(rule).lower()}
shadow_log = "{place / "shadow.json"}"
store = "{place / "models"}"
[alerts]
output = "{place / "log/alerts.json"}"
[evidence]
directory = "{place / "evidence"}"
[health]
status = "{place / "status.json"}"
metrics = "{place / "metrics.prom"}"
interval_s = {INTERVAL_S}
"""
    )
    new.replace(path)
    return path
