"""A booted gateway with a sensor: what proofs ask of it and do to it."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import netns
from command import flood
from container import Container

ALERTS = "/var/log/multa/alerts.json"
CONFIGURATION = "/etc/multa/sensor.toml"


@dataclass(frozen=True)
class Gateway:
    """A container at the far end of a cable."""

    container: Container
    cable: netns.Link

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.container.tell(f"systemctl show --value -p {name} {unit}")

    def main_pid(self, unit: str) -> int:
        """The process id of a service, as the container sees it."""
        return int(self.show(unit, "MainPID"))

    def status_of(self, unit: str, field: str) -> str:
        """A line of the main process's /proc/PID/status."""
        pid = self.main_pid(unit)
        return self.container.tell(f"sed -n 's/^{field}:[[:space:]]*//p' /proc/{pid}/status")

    def alerts(self) -> list[dict[str, Any]]:
        """What ``alert.metadata.multa`` of every alert says."""
        text = self.container.run(f"cat {ALERTS}", check=False).stdout
        return [json.loads(line)["alert"]["metadata"]["multa"] for line in text.splitlines()]

    def flood_until_alert(self, victim: str, count: int = 1000) -> list[dict[str, Any]]:
        """Sends SYNs to a victim, and returns the alerts about it once there is one."""
        netns.play(self.cable.near, self.cable.port, flood(count, victim)[0], 2000)
        self.container.until(f'grep -q \'"address":"{victim}"\' {ALERTS}', 30)
        return [alert for alert in self.alerts() if alert["address"] == victim]

    def probe(self, unit: str, script: str) -> str:
        """What a Python program tells that runs as the main process of a unit would.

        Its service has every line of the unit but those that say what runs and when again.
        """
        left_out = "^(ExecStart|ExecReload|Type|NotifyAccess|WatchdogSec|Restart|Conflicts|Wants)"
        target, path, out = "/run/systemd/system/probe.service", "/run/probe.py", "/run/probe.out"
        self.container.run(
            f"cat >{path} <<'END'\n{script}\nEND\n"
            f"grep -vE '{left_out}' $(systemctl show --value -p FragmentPath {unit}) |"
            " sed 's|^.Service.$|[Service]\\nType=oneshot\\n"
            f"StandardOutput=truncate:{out}\\n"
            f"ExecStart=/opt/multa/bin/python {path}|' >{target}\n"
            "systemctl daemon-reload; systemctl start probe"
        )
        return self.container.tell(f"cat {out}")

    @contextlib.contextmanager
    def configured(self, text: str) -> Iterator[str]:
        """Adds a file to the configuration for a while, and restarts the sensor after it."""
        path = "/etc/multa/conf.d/proof.toml"
        self.container.run(f"cat >{path} <<'END'\n{text}\nEND")
        try:
            yield path
        finally:
            self.container.run(f"rm {path}; systemctl restart multa-sensor")
