"""Where an installed sensor writes what commands read: from its configuration, unless named."""

from pathlib import Path

import click

from sensor.cli import options
from sensor.errors import UsageError
from sensor.service.config import configuration
from sensor.service.config.settings import DEFAULT_PATH, Settings

LABELS = Path("/var/lib/multa/labels.json")
"""What operators say of alerts."""

config = click.option(
    "--config",
    type=options.folder,
    metavar="FILE",
    help=f"The configuration that says where things are.  [default: {DEFAULT_PATH}]",
)
evidence = click.option(
    "--evidence", type=options.folder, metavar="DIR", help="Folder of evidence (docs/evidence.md)."
)
alerts = click.option(
    "--alerts",
    "log",
    metavar="FILE",
    help="The alert log.  [default: that of the configuration]",
)
labels = click.option(
    "--labels",
    type=options.folder,
    metavar="FILE",
    default=LABELS,
    show_default=True,
    help="What operators have said of alerts.",
)


class Places:
    """Reads the configuration when it is first asked for what nobody has named."""

    def __init__(self, config: Path | None) -> None:
        """Reads nothing yet; None is the configuration of the installed sensor."""
        self._config = config
        self._settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        """The configuration; defaults where there is none."""
        if self._settings is None:
            self._settings = configuration.read(self._config)
        return self._settings

    def alert_log(self, named: str | None) -> str:
        """The alert log.

        Raises:
            UsageError: the configuration says that alerts go to standard output.
            MultaError: the configuration can't be read.
        """
        if named is not None:
            return named
        output = str(self.settings.alerts.output)
        if output == "-":
            raise UsageError("the configured alert log is standard output; name a file")
        return output

    def evidence(self, named: Path | None) -> Path | None:
        """The folder of evidence; None where none is kept."""
        return named or self.settings.evidence.directory

    def status(self, named: Path | None) -> Path | None:
        """The status file; None where none is written."""
        return named or self.settings.health.status
