"""Serves the metrics of the sensor over HTTP, on this machine only.

``/metrics`` is the file that the sensor writes, and what the forwarder counts itself; ``/healthz``
says whether both are well. One request is answered at a time, each within seconds.
"""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from sensor.errors import HostError

STALE_S = 300.0
"""A file of metrics that is older than this belongs to no running sensor."""

_BYTES = 4 << 20
_REQUEST_S = 5.0
_TEXT = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' exposition format


class MetricsServer:
    """The server, in a thread of its own."""

    def __init__(
        self,
        address: str,
        metrics: Path | None,
        counters: Callable[[], str],
        problems: Callable[[], list[str]],
    ) -> None:
        """Binds the address.

        Args:
            address: of this machine, with a port.
            metrics: the sensor's file, if it writes one.
            counters: the forwarder's own metrics.
            problems: what is wrong with the forwarder.

        Raises:
            HostError: the address can't be bound.
        """
        parts = urlsplit(f"//{address}")

        class Handler(_Handler):
            timeout = _REQUEST_S

        Handler.metrics, Handler.counters, Handler.problems = metrics, counters, problems
        try:
            self._server = _Server((parts.hostname or "", parts.port or 0), Handler)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise HostError(
                f"forward.http {address}: can't be bound ({why}); choose another port"
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="http")

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Ends, after the request that is being answered."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(HTTPServer):
    def __init__(self, address: tuple[str, int], handler: type["_Handler"]) -> None:
        if ":" in address[0]:
            import socket  # noqa: PLC0415 -- one name of it, for a class attribute

            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    metrics: Path | None
    counters: Callable[[], str]
    problems: Callable[[], list[str]]
    server_version = "multa-sensor"
    sys_version = ""

    def do_GET(self) -> None:
        """Answers ``/metrics`` and ``/healthz``."""
        path = urlsplit(self.path).path
        if path == "/metrics":
            content, problem = self._metrics()
            if problem:
                content += f"# {problem}\n"
            self._answer(200, content + type(self).counters())
        elif path == "/healthz":
            _, problem = self._metrics()
            problems = [*type(self).problems(), *([problem] if problem else [])]
            self._answer(503 if problems else 200, "\n".join(problems or ["ok"]) + "\n")
        else:
            self._answer(404, "there are /metrics and /healthz\n")

    def _metrics(self) -> tuple[str, str]:
        """The sensor's metrics, and what is wrong with them."""
        path = type(self).metrics
        if path is None:
            return "", ""
        try:
            with path.open("rb") as file:
                text = file.read(_BYTES).decode("utf-8", "replace")
            age_s = time.time() - path.stat().st_mtime
        except OSError as error:
            return "", f"{path}: {(error.strerror or str(error)).lower()}"
        if age_s > STALE_S:
            return "", f"{path}: was last written {age_s:.0f} s ago, so no sensor runs"
        return text, ""

    def _answer(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", _TEXT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- its name is given
        """Requests are not logged."""
