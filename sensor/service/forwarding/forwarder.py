"""The process of ``multa-sensor forward``: couriers, their progress, and signals."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from sensor.service.forwarding.courier import Courier
from sensor.service.forwarding.destination import Destination
from sensor.service.forwarding.metrics_server import MetricsServer
from sensor.service.forwarding.places import SAVE_S, Places, read_places, write_places
from sensor.service.notify import ServiceManager

TICK_S = 0.5


class Forwarder:
    """Sends a log to destinations until it is asked to end.

    Attributes:
        couriers: one for each destination.
    """

    def __init__(
        self,
        log: str,
        destinations: Sequence[Destination],
        state: Path,
        say: Callable[[str], None],
        http: str = "",
        metrics: Path | None = None,
    ) -> None:
        """Reads how far an earlier process was.

        Args:
            log: path of the alert log.
            destinations: whose names differ.
            state: file of the progress.
            say: shows a line to a person.
            http: address at which metrics are served; empty for none.
            metrics: the sensor's file of metrics.

        Raises:
            HostError: the address for HTTP can't be bound.
        """
        self._log, self._state, self._say = log, state, say
        before = read_places(state, log)
        if before is None:
            say(f"{state}: can't be read, so {log} is sent from its beginning")
        self._saved: Places = before or {}
        self._kept = dict(self._saved)  # of destinations that may be configured again
        self._saved_at = 0.0
        self._told_state = False
        self.couriers = [
            Courier(each, log, self._saved.get(each.name, ()), say) for each in destinations
        ]
        self._server = MetricsServer(http, metrics, self.counters, self.problems) if http else None
        self._stop = threading.Event()
        self._manager = ServiceManager()

    @property
    def http_port(self) -> int:
        """The port at which metrics are served; 0 if they are not."""
        return self._server.port if self._server else 0

    def run(self) -> None:
        """Forwards until SIGTERM or SIGINT, and then for as long as what is under way takes.

        Raises:
            MultaError: the log can't be read.
        """
        with self._signals():
            for courier in self.couriers:
                courier.start()
            if self._server:
                self._server.start()
            self._manager.ready()
            try:
                while not self._stop.wait(TICK_S) and not any(c.ended for c in self.couriers):
                    self._manager.alive()
                    self._save(SAVE_S)
            finally:
                self._manager.stopping()
                for courier in self.couriers:
                    courier.stop()
                for courier in self.couriers:
                    courier.join()
                if self._server:
                    self._server.stop()
                self._save(0)
        for courier in self.couriers:
            if courier.failure:
                raise courier.failure

    def stop(self) -> None:
        """Asks it to end."""
        self._stop.set()

    def counters(self) -> str:
        """The forwarder's own metrics, in Prometheus' text format."""
        lines = []
        for name, kind, text, value in (
            ("sent_total", "counter", "Alerts that have arrived.", lambda c: c.sent),
            ("lost_total", "counter", "Alerts that could not be sent.", lambda c: c.lost),
            ("left_out_total", "counter", "Lines that are no alerts.", lambda c: c.left_out),
            ("connected", "gauge", "Whether it can send now.", lambda c: int(c.connected)),
        ):
            lines += [f"# HELP multa_forward_{name} {text}", f"# TYPE multa_forward_{name} {kind}"]
            lines += [
                f'multa_forward_{name}{{to="{each.destination.name}"}} {value(each)}'
                for each in self.couriers
            ]
        return "\n".join(lines) + "\n" if self.couriers else ""

    def problems(self) -> list[str]:
        """Destinations that can't be reached."""
        return [
            f"{each.destination.name}: not connected"
            for each in self.couriers
            if not each.connected
        ]

    def _save(self, every_s: float) -> None:
        """Writes the progress if there was some, and if it was not written just now."""
        now = time.monotonic()
        places = {**self._kept, **{each.destination.name: each.places for each in self.couriers}}
        if places == self._saved or now - self._saved_at < every_s:
            return
        self._saved_at = now
        try:
            write_places(self._state, self._log, places)
            self._saved, self._told_state = places, False
        except OSError as error:
            if not self._told_state:
                self._told_state = True
                why = (error.strerror or str(error)).lower()
                self._say(
                    f"{self._state}: can't be written ({why}); after a restart alerts would be "
                    "sent again"
                )

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def end(number: int, _frame: FrameType | None) -> None:
            signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
            self._stop.set()

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
