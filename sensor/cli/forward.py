"""``multa-sensor forward``: send the alerts of the log to other machines."""

import os
from pathlib import Path

import click

from sensor.alerts.sinks import STDOUT
from sensor.cli import options, say
from sensor.errors import ConfigurationError
from sensor.service.config import configuration
from sensor.service.config.settings import DEFAULT_PATH


@click.command()
@click.option(
    "--config",
    type=options.folder,
    metavar="FILE",
    help=f"The configuration with its table [forward].  [default: {DEFAULT_PATH}]",
)
def forward(config: Path | None) -> None:
    """Send the alerts of the log to a syslog server or an MQTT broker, until SIGTERM.

    A process of its own, as the sensor opens no network socket. It reads the alert log, across its
    rotation, and remembers in forward.state how far it is: an alert is sent again after a crash
    rather than left out. Where a destination is gone, alerts wait in the log. The password for a
    broker is in the variable MULTA_MQTT_PASSWORD, or in systemd's credential mqtt-password.

    \b
    Example:
      multa-sensor forward --config /etc/multa/sensor.toml
    """  # noqa: D301 -- click's mark for lines to leave alone
    # Others would load sockets and servers that they never use.
    from sensor.service.forwarding.destination import Destination  # noqa: PLC0415
    from sensor.service.forwarding.forwarder import Forwarder  # noqa: PLC0415
    from sensor.service.forwarding.mqtt import Mqtt, password  # noqa: PLC0415
    from sensor.service.forwarding.syslog import Syslog  # noqa: PLC0415

    settings = configuration.read(config)
    wanted, log = settings.forward, settings.alerts.output
    place = settings.files[0] if settings.files else DEFAULT_PATH
    if not (wanted.syslog or wanted.mqtt or wanted.http):
        raise ConfigurationError(
            f"{place}: [forward] names no destination; set syslog, mqtt or http in it"
        )
    if log == STDOUT:
        raise ConfigurationError(
            f"{place}: alerts.output is standard output, which can't be forwarded; name a file"
        )
    destinations: list[Destination] = []
    if wanted.syslog:
        destinations.append(Syslog(wanted.syslog))
    if wanted.mqtt:
        destinations.append(Mqtt(wanted.mqtt, password(os.environ)))
    forwarder = Forwarder(
        log, destinations, wanted.state, say, wanted.http, settings.health.metrics
    )
    for each in destinations:
        say(f"forwarding {log} to {each.address}")
    if wanted.http:
        say(f"serving /metrics and /healthz at port {forwarder.http_port} of this machine")
    forwarder.run()
    for courier in forwarder.couriers:
        say(f"{courier.destination.address}: {courier.sent} alerts sent, {courier.lost} lost")
