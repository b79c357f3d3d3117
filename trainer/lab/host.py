"""A process for each host: its network namespace, services, activities and attacks.

It takes orders through a pipe, in this order, and answers each: (born), configure, start, stop.
"""

import subprocess
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sensor.errors import HostError, MultaError
from trainer.lab import (
    clients_tcp,
    clients_udp,
    devices,
    logins,
    quic,
    service_sessions,
    sessions,
)
from trainer.lab.attack_report import AttackReport
from trainer.lab.attacks import WATCHED, run_attack
from trainer.lab.client import Client
from trainer.lab.network import (
    BRIDGE,
    configure_gateway,
    configure_host,
    configure_isp,
    enter_new_network,
)
from trainer.lab.observer import LEARNING_S
from trainer.lab.plan import Attack, Host, Plan
from trainer.lab.services import Certificate, start_services

ROUNDS = {
    "mqtt": clients_tcp.mqtt,
    "web": clients_tcp.web,
    "renegotiation": clients_tcp.renegotiation,
    "half_open": clients_tcp.half_open,
    "discovery": clients_tcp.discovery,
    "dns": clients_udp.dns,
    "ntp": clients_udp.ntp,
    "coap": clients_udp.coap,
    "ssdp": clients_udp.ssdp,
    "mdns": clients_udp.mdns,
    "datagrams": clients_udp.datagrams,
    "media": clients_udp.media,
    "ping": clients_udp.ping,
    "session": sessions.session,
    "shell": logins.shell,
    "login": logins.login,
    "mqtt_login": logins.mqtt_login,
    "video": devices.video,
    "quic": quic.quic,
    "quic_session": service_sessions.quic_session,
    "snmp": devices.snmp,
    "boot": devices.boot,
}
"""The function of every benign activity."""

_BUFFER_KIB = 32_768
_NEVER = -1e9


@dataclass(frozen=True)
class CaptureFile:
    """Where the gateway records to, and how many bytes of each frame."""

    path: Path
    snaplen: int


class HostProcess:
    """What runs in a host's process; `host` is ``None`` for the ISP."""

    def __init__(self, plan: Plan, host: Host | None, capture: CaptureFile | None = None) -> None:
        self._plan = plan
        self._host = host
        self._capture = capture
        self._recorder: subprocess.Popen[str] | None = None
        self._epoch = 0.0
        self._clients: list[Client] = []
        self._attacks: list[tuple[Attack, AttackReport]] = []
        self._failures: list[str] = []

    def serve(self, orders: Connection, folder: Path, certificates: dict[str, Certificate]) -> None:
        """Obeys orders until it is told to stop; whatever goes wrong is sent as an answer."""
        before, threading.excepthook = threading.excepthook, self._thread_failed
        try:
            enter_new_network()
            orders.send(("born", None))
            orders.recv()
            self._configure(folder, certificates)
            orders.send(("ready", None))
            self._start(orders.recv())
            orders.recv()
            orders.send(("report", self._report()))
        except MultaError as error:
            orders.send(("error", str(error)))
        except (OSError, ValueError) as error:
            name = self._host.name if self._host else "isp"
            orders.send(("error", f"lab host {name}: {error}"))
        finally:
            threading.excepthook = before

    def _clock(self) -> float:
        return time.time() - self._epoch if self._epoch else _NEVER

    def _configure(self, folder: Path, certificates: dict[str, Certificate]) -> None:
        if self._host is None:
            configure_isp(self._plan)
            return
        if self._host.side == "gateway":
            configure_gateway(self._plan)
        else:
            configure_host(self._plan, self._host)
        folder.mkdir()
        start_services(self._plan, self._host, folder, certificates, self._clock)
        if self._capture is not None:
            self._recorder = _start_recorder(self._capture)

    def _start(self, epoch: float) -> None:
        self._epoch = epoch
        if self._host is None:
            return
        for activity in self._plan.activities:
            if activity.host == self._host.name:
                client = Client(self._plan, self._host, activity, self._clock)
                self._clients.append(client)
                arguments = (ROUNDS[activity.activity],)
                threading.Thread(target=client.run, args=arguments, daemon=True).start()
        for attack in self._plan.attacks:
            if attack.host == self._host.name:
                report = AttackReport()
                self._attacks.append((attack, report))
                threading.Thread(target=self._attack, args=(attack, report), daemon=True).start()

    def _attack(self, attack: Attack, report: AttackReport) -> None:
        assert self._host is not None
        early_s = LEARNING_S if attack.task in WATCHED else 0.0
        time.sleep(max(0.0, attack.start_s - early_s - self._clock()))
        try:
            run_attack(self._plan, self._host, attack, report)
        except (MultaError, OSError) as error:
            self._failures.append(f"{attack.task} from {attack.host}: {error}")

    def _thread_failed(self, failed: threading.ExceptHookArgs) -> None:
        """A thread that ends by accident would leave a recording with less in it than it says."""
        name = self._host.name if self._host else "isp"
        kind = failed.exc_type.__name__
        self._failures.append(f"lab host {name}: {kind}: {failed.exc_value}")

    def _report(self) -> dict[str, Any]:
        activities: dict[str, Counter[str]] = {}
        for client in self._clients:
            activities.setdefault(client.activity.activity, Counter()).update(client.counts)
        return {
            "activities": {name: dict(counts) for name, counts in activities.items()},
            "attacks": {attack.index: asdict(report) for attack, report in self._attacks},
            "sessions": [each.report() for client in self._clients for each in client.sessions],
            "failures": self._failures,
            "recorder": _stop_recorder(self._recorder) if self._recorder else None,
        }


def _start_recorder(capture: CaptureFile) -> "subprocess.Popen[str]":
    """Starts tcpdump on the bridge, which sees every frame that passes it once."""
    recorder = subprocess.Popen(
        [
            *("tcpdump", "-i", BRIDGE, "-n", "-w", str(capture.path), "-Z", "root"),
            *("--time-stamp-precision=nano", "-s", str(capture.snaplen), "-B", str(_BUFFER_KIB)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert recorder.stderr is not None
    words = []
    for line in recorder.stderr:
        words.append(line.strip())
        if "listening on" in line:
            return recorder
    raise HostError(f"tcpdump did not start: {' '.join(words)}")


def _stop_recorder(recorder: "subprocess.Popen[str]") -> dict[str, int]:
    """Ends the recording; what tcpdump says about it, by its words (captured, dropped …).

    Raises:
        HostError: it had ended before.
    """
    ended = recorder.poll() is not None
    recorder.terminate()
    assert recorder.stderr is not None
    counts, last = {}, "it said nothing"
    for line in recorder.stderr:
        last = line.strip() or last
        number, _, words = line.strip().partition(" ")
        if number.isdigit():
            counts[words.replace("packets ", "").replace("packet ", "")] = int(number)
    if ended or recorder.wait() or "captured" not in counts:
        raise HostError(f"tcpdump did not record to the end: {last}")
    return counts
