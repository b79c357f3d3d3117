"""People and devices that log in: SSH with keys struck, HTTP and MQTT with a password.

They mistype now and then. Without them a model would take every login for a guess.
"""

import base64
import contextlib
import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from trainer.lab.client import Client
from trainer.lab.mqtt import connect_packet, packet, text

USER = "root"
"""Whom sshd knows on every machine; the lab gives it a password in sshd's own namespace."""
PASSWORD = "correct-horse"  # noqa: S105 -- of hosts that live for a minute

_SSH = (
    *("ssh", "-tt", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
    *("-o", "PreferredAuthentications=password", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"),
    *("-F", "/dev/null"),
)


def shell(client: Client) -> None:
    """Someone logs in with ssh, mistypes the password now and then, and types; keys are echoed."""
    settings, rng = client.settings, client.rng
    address = client.target()
    client.check(address, 22, "tcp")
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer")
        mistyped = rng.random() < 0.2
        answer.write_text(
            "#!/bin/sh\n"
            + (
                f"[ -e {folder}/once ] || {{ : >{folder}/once; echo oops; exit; }}\n"
                if mistyped
                else ""
            )
            + f"echo {PASSWORD}\n",
            encoding="ascii",
        )
        answer.chmod(0o700)
        asks = {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force", "HOME": folder}
        with subprocess.Popen(
            [*_SSH, f"{USER}@{client.address(address)}"],
            env=os.environ | asks,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        ) as terminal:
            assert terminal.stdin is not None
            try:
                time.sleep(rng.uniform(0.5, 1.5))
                for _ in range(int(settings["keys"])):
                    terminal.stdin.write(rng.choice(b"ls -l catop\n").to_bytes(1, "big"))
                    time.sleep(settings["gap_s"] * rng.uniform(0.3, 2.0))
            finally:
                terminal.kill()


def login(client: Client) -> None:
    """Opens a page that wants a password (RFC 7617), perhaps mistypes it, and reads on."""
    rng = client.rng
    with client.connect(client.target(), 80) as stream:
        words = ["", *[f"{USER}:oops{n}" for n in range(int(client.settings["mistakes"]))]]
        for word in [*words, f"{USER}:{PASSWORD}", f"{USER}:{PASSWORD}"]:
            coded = base64.b64encode(word.encode()).decode()
            allowed = f"Authorization: Basic {coded}\r\n" if word else ""
            stream.sendall(f"GET /login HTTP/1.1\r\nHost: lab\r\n{allowed}\r\n".encode())
            _read_answer(stream)
            time.sleep(client.settings["gap_s"] * rng.uniform(0.5, 1.5))


def _read_answer(stream: socket.socket) -> None:
    """Takes one HTTP answer with its body.

    Raises:
        ConnectionError: the server closed the connection before its end.
    """
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        found = re.search(rb"Content-Length: (\d+)", head)
        if end and (found is None or len(body) >= int(found[1])):
            return
        part = stream.recv(65_536)
        if not part:
            raise ConnectionError("closed by the server")
        received += part


def mqtt_login(client: Client) -> None:
    """A device that logs in at its broker and reports; at times with an old password first."""
    settings, rng = client.settings, client.rng
    address = client.target()
    name = f"{client.host.name}-{rng.getrandbits(16):04x}"
    for password in [*["oops"] * int(settings["mistakes"]), PASSWORD]:
        with client.connect(address, 1883) as stream:
            stream.sendall(connect_packet(name, 60, USER, password))
            stream.recv(16)
            if password != PASSWORD:
                continue
            for _ in range(int(settings["messages"])):
                body = text(f"lab/{name}") + rng.randbytes(rng.randint(10, 200))
                stream.sendall(packet(0x30, body))
                time.sleep(settings["gap_s"] * rng.uniform(0.5, 1.5))
            with contextlib.suppress(OSError):
                stream.sendall(packet(0xE0, b""))
                stream.shutdown(socket.SHUT_WR)
