"""Servers of the lab's hosts: real daemons where Debian has a light one, else Python's own.

Each starts inside its host's namespace; `start_services` returns when all of them answer.
"""

import contextlib
import functools
import http.server
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sensor.errors import HostError
from trainer.lab.catalogue import SERVICES, TCP_PORTS
from trainer.lab.client import Clock
from trainer.lab.plan import Host, Plan
from trainer.lab.upnp import start_upnp

STUNNEL_PORT = SERVICES["stunnel"][0][0]
BACKEND_PORT = 8080
"""The HTTP server behind stunnel, on the host's loopback."""

_READY_S = 15.0
_CERTIFICATE_NAMES = 12

Daemon: TypeAlias = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Certificate:
    """Files of a self-signed certificate and its key."""

    certificate: Path
    key: Path


def make_certificates(folder: Path, seed: int) -> dict[str, Certificate]:
    """An RSA and an EC certificate; their sizes differ between recordings, as real ones do.

    Raises:
        HostError: openssl could not make one.
    """
    made = {}
    names = ",".join(f"DNS:host-{n}.example.net" for n in range(1 + seed % _CERTIFICATE_NAMES))
    options = {"rsa": ["rsa:2048"], "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]}
    for kind, new_key in options.items():
        pair = Certificate(folder / f"{kind}.crt", folder / f"{kind}.key")
        done = subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "2"),
                *("-subj", "/CN=lab.example.net", "-addext", f"subjectAltName={names}"),
                *("-newkey", *new_key, "-out", str(pair.certificate), "-keyout", str(pair.key)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise HostError(f"openssl could not make a certificate: {done.stderr.strip()}")
        made[kind] = pair
    return made


def start_services(
    plan: Plan, host: Host, folder: Path, certificates: dict[str, Certificate], clock: Clock
) -> None:
    """Starts a host's services; they end with the lab.

    Args:
        plan: of the recording.
        host: whose services.
        folder: for configuration files; one of the host's own.
        certificates: by kind of key.
        clock: for services that speak by themselves.

    Raises:
        HostError: one did not start; its own words are repeated.
    """
    starters = _starters(plan, host, folder, certificates[host.key], clock)
    daemons = {service: starters[service]() for service in host.services}
    for service, daemon in daemons.items():
        for port in TCP_PORTS.get(service, ()):
            await_service(service, functools.partial(accepts, port), daemon, folder)
        if service in {"dns", "ntp", "coap"}:
            bound = functools.partial(_bound_udp, SERVICES[service][0][0])
            await_service(service, bound, daemon, folder)


def _starters(
    plan: Plan, host: Host, folder: Path, certificate: Certificate, clock: Clock
) -> dict[str, Callable[[], Daemon | None]]:
    return {
        "mqtt": lambda: _mosquitto(folder, certificate),
        "web": lambda: _web(certificate),
        "dns": lambda: _dnsmasq(plan, folder),
        "ntp": lambda: _chronyd(folder),
        "coap": lambda: _daemon("coap-server-notls", "-A", host.address, "-v", "0", folder=folder),
        "upnp": lambda: start_upnp(plan, host, clock),
        "stunnel": lambda: start_stunnel(folder, certificate, STUNNEL_PORT, BACKEND_PORT),
        "sink": _sink,
    }


def start_stunnel(folder: Path, certificate: Certificate, port: int, backend: int) -> Daemon:
    """Stunnel at `port` before an HTTP server at `backend` of the loopback.

    It speaks TLS 1.2 at most, as TLS 1.3 has no renegotiation, and lets clients renegotiate.
    """
    _serve_http("127.0.0.1", backend, None)
    configuration = folder / "stunnel.conf"
    configuration.write_text(
        "foreground = yes\nsyslog = no\npid =\ndebug = warning\n[web]\n"
        f"accept = {port}\nconnect = 127.0.0.1:{backend}\n"
        f"cert = {certificate.certificate}\nkey = {certificate.key}\n"
        "sslVersionMax = TLSv1.2\nrenegotiation = yes\noptions = ALLOW_CLIENT_RENEGOTIATION\n",
        encoding="utf-8",
    )
    return _daemon("stunnel4", str(configuration), folder=folder)


def _daemon(program: str, *arguments: str, folder: Path) -> Daemon:
    with (folder / f"{program}.log").open("wb") as log:
        return subprocess.Popen(
            [program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def await_service(
    service: str, ready: Callable[[], bool], daemon: Daemon | None, folder: Path
) -> None:
    """Waits until a service answers.

    Raises:
        HostError: its daemon has ended, or it takes too long; what was written to the logs in
            `folder` is repeated.
    """
    end = time.monotonic() + _READY_S
    while not ready():
        if time.monotonic() > end or (daemon is not None and daemon.poll() is not None):
            words = [path.read_text(errors="replace") for path in sorted(folder.glob("*.log"))]
            raise HostError(f"the lab's {service} did not start: {' '.join(words).strip()[-400:]}")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    """Whether something listens at a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _bound_udp(port: int) -> bool:
    """Whether a socket has the port; a bind of our own would fail then."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False


def _mosquitto(folder: Path, certificate: Certificate) -> Daemon:
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        "user root\nallow_anonymous true\npersistence false\nlog_dest stderr\n"
        "listener 1883\nlistener 8883\n"
        f"certfile {certificate.certificate}\nkeyfile {certificate.key}\n",
        encoding="utf-8",
    )
    return _daemon("mosquitto", "-c", str(configuration), folder=folder)


def _dnsmasq(plan: Plan, folder: Path) -> Daemon:
    names = [f"--host-record={host.name}.lab.example.net,{host.address}" for host in plan.hosts]
    return _daemon(
        "dnsmasq",
        *("-k", "-C", "/dev/null", "--user=root", "--no-resolv", "--no-hosts", "--pid-file="),
        *("--local-ttl=60", "--local=/example.net/", *names),
        folder=folder,
    )


def _chronyd(folder: Path) -> Daemon:
    """Serves the machine's own time and leaves the clock alone (``-x``)."""
    return _daemon(
        "chronyd",
        *("-d", "-x", "-u", "root", "local stratum 3", "allow", "cmdport 0"),
        f"pidfile {folder}/chronyd.pid",
        folder=folder,
    )


def _web(certificate: Certificate) -> None:
    _serve_http("", 80, None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    _serve_http("", 443, context)


class _Objects(http.server.BaseHTTPRequestHandler):
    """Answers ``GET /N`` and ``POST /N`` with N bytes and keeps the connection open."""

    protocol_version = "HTTP/1.1"
    server_version = "lab"
    sys_version = ""
    timeout = 300

    def do_GET(self) -> None:
        """An object of the size that the path names."""
        size = min(5_000_000, int(self.path.strip("/") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(bytes(size))

    def do_POST(self) -> None:
        """Takes a body, then answers as to a GET."""
        left = int(self.headers.get("Content-Length", "0"))
        while left > 0 and (part := self.rfile.read(min(left, 65_536))):
            left -= len(part)
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — named by http.server
        """Says nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is ordinary here."""


def _serve_http(address: str, port: int, context: ssl.SSLContext | None) -> None:
    server = _Server((address, port), _Objects)
    if context is not None:
        # The handshake is left to the connection's own thread.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _sink() -> None:
    for port in SERVICES["sink"][0]:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("", port))
        threading.Thread(target=_swallow, args=(receiver,), daemon=True).start()


def _swallow(receiver: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            receiver.recv(2048)
