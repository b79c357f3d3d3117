"""Servers of the lab's hosts: real daemons where Debian has a light one, else Python's own.

Each starts inside its host's namespace; `start_services` returns when all of them answer.
"""

import base64
import contextlib
import functools
import http.server
import random
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
from trainer.lab.logins import PASSWORD, USER
from trainer.lab.plan import Host, Plan
from trainer.lab.quic import serve_quic
from trainer.lab.reflection_protocols import BIG_NAME, start_reflector
from trainer.lab.sessions import serve_sessions
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
        "ssh": lambda: _sshd(folder),
        "guarded_mqtt": lambda: _mosquitto_guarded(folder),
        "quic": lambda: serve_quic(
            certificate.certificate, certificate.key, SERVICES["quic"][0][0]
        ),
        "sessions": lambda: serve_sessions(_tls(certificate), _family()),
        "stunnel": lambda: start_stunnel(folder, certificate, STUNNEL_PORT, BACKEND_PORT),
        "sink": _sink,
    } | {
        service: functools.partial(start_reflector, service, f"{plan.seed} {host.name}")
        for service in ("snmp", "monlist", "wsd", "chargen")
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
        *("--local-ttl=60", "--local=/example.net/", *names, f"--txt-record={_texts(plan)}"),
        folder=folder,
    )


def _texts(plan: Plan) -> str:
    """A name with texts of some hundred bytes, as resolvers that are misused are asked for."""
    rng = random.Random(f"{plan.seed} texts")
    return ",".join([BIG_NAME, *["a" * rng.randint(150, 250) for _ in range(rng.randint(2, 4))]])


def _sshd(folder: Path) -> Daemon:
    """An sshd that echoes what is typed, whoever logs in, and knows one password.

    It sees an account file of its own, bound over the machine's in a mount namespace of its own.
    """
    made = subprocess.run(
        ["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True
    )
    key, accounts = folder / "ssh.key", folder / "shadow"
    accounts.write_text(f"{USER}:{made.stdout.strip()}:19000:0:99999:7:::\n", encoding="ascii")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=20
    )
    configuration = folder / "sshd.conf"
    configuration.write_text(
        f"Port 22\nHostKey {key}\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication yes\n"
        "ForceCommand /bin/cat\nMaxStartups 100\nLoginGraceTime 20\nPidFile none\n",
        encoding="ascii",
    )
    script = (
        f"mount --bind {accounts} /etc/shadow && mount -t tmpfs tmpfs /run && mkdir /run/sshd && "
        f"exec /usr/sbin/sshd -D -e -f {configuration}"
    )
    return _daemon("unshare", "--mount", "sh", "-c", script, folder=folder)


def _mosquitto_guarded(folder: Path) -> Daemon:
    """A broker that wants a password."""
    passwords, configuration = folder / "mosquitto.passwords", folder / "mosquitto.conf"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(passwords), USER, PASSWORD],
        check=True,
        capture_output=True,
    )
    configuration.write_text(
        "user root\nallow_anonymous false\npersistence false\nlog_dest stderr\nlistener 1883\n"
        f"password_file {passwords}\n",
        encoding="utf-8",
    )
    return _daemon("mosquitto", "-c", str(configuration), folder=folder)


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
    _serve_http("", 443, _tls(certificate))


def _tls(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


def _family() -> socket.AddressFamily:
    """What a server binds to that shall be reached by both versions of IP."""
    return socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET


_ALLOWED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class _Objects(http.server.BaseHTTPRequestHandler):
    """Answers ``GET /N`` and ``POST /N`` with N bytes and keeps the connection open."""

    protocol_version = "HTTP/1.1"
    server_version = "lab"
    sys_version = ""
    timeout = 300

    def do_GET(self) -> None:
        """An object of the size that the path names; one page wants a password (RFC 7617)."""
        if self.path == "/login":
            self._guarded()
            return
        size = min(5_000_000, int(self.path.strip("/") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(bytes(size))

    def _guarded(self) -> None:
        right = self.headers.get("Authorization") == f"Basic {_ALLOWED}"
        body = bytes(900 if right else 120)
        self.send_response(200 if right else 401)
        if not right:
            self.send_header("WWW-Authenticate", 'Basic realm="lab"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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

    def __init__(
        self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]
    ) -> None:
        # Only the loopback's server, which has an address, is of IPv4 alone.
        self.address_family = socket.AF_INET if address[0] else _family()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Takes both versions of IP."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

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
        receiver = socket.socket(_family(), socket.SOCK_DGRAM)
        if receiver.family == socket.AF_INET6:
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        receiver.bind(("", port))
        threading.Thread(target=_swallow, args=(receiver,), daemon=True).start()


def _swallow(receiver: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            receiver.recv(2048)
