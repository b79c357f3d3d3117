"""Two namespaces joined by the lab's cable, which delays and loses frames without netem."""

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.lab.links import Cable, forward, open_tap

CLIENT, SERVER = "10.99.0.1", "10.99.0.2"
PATIENCE_S = 60

_serial = itertools.count()


@dataclass(frozen=True)
class Ends:
    """The namespaces; the interface of each is `port`."""

    client: str
    server: str
    port: str = "lat0"

    def command(self, namespace: str, command: Sequence[str]) -> list[str]:
        """A command that runs in a namespace."""
        return ["ip", "netns", "exec", namespace, *command]


def delayed(
    delay_ms: float, jitter_ms: float, loss: float, seed: int = 1
) -> contextlib.AbstractContextManager[Ends]:
    """Namespaces with addresses; all is gone after the ``with`` block.

    Args:
        delay_ms, jitter_ms: one way, and the most that is added to it.
        loss: share of frames.
        seed: of jitter and loss.
    """
    return joined(Cable("near", "far", delay_ms, jitter_ms, loss), seed)


@contextlib.contextmanager
def joined(cable: Cable, seed: int = 1) -> Iterator[Ends]:
    """`delayed`, by a cable that is given."""
    stem = f"multa-lat-{os.getpid()}-{next(_serial)}"
    ends = Ends(f"{stem}-c", f"{stem}-s")
    taps = [open_tap(f"lat{os.getpid() % 10**6}{side}") for side in "cs"]
    names = [f"lat{os.getpid() % 10**6}{side}" for side in "cs"]
    carrier = 0
    try:
        for namespace, name, address in zip(
            (ends.client, ends.server), names, (CLIENT, SERVER), strict=True
        ):
            _ip("netns", "add", namespace)
            _ip("link", "set", name, "netns", namespace)
            inside = ("-n", namespace)
            _ip(*inside, "link", "set", name, "name", ends.port)
            _ip(*inside, "addr", "add", f"{address}/24", "dev", ends.port)
            _ip(*inside, "link", "set", "lo", "up")
            _ip(*inside, "link", "set", ends.port, "up")
        carrier = os.fork()
        if not carrier:
            with contextlib.suppress(KeyboardInterrupt):
                forward([(cable, *taps)], seed)
            os._exit(0)
        # each knows where the other is, so that no neighbour has to be asked for over a bad line
        macs = [_mac(namespace, ends.port) for namespace in (ends.client, ends.server)]
        for namespace, address, mac in (
            (ends.client, SERVER, macs[1]),
            (ends.server, CLIENT, macs[0]),
        ):
            entry = ("neigh", "replace", address, "lladdr", mac, "dev", ends.port)
            _ip("-n", namespace, *entry)
        yield ends
    finally:
        if carrier:
            os.kill(carrier, signal.SIGKILL)
            os.waitpid(carrier, 0)
        for tap in taps:
            os.close(tap)
        for namespace in (ends.client, ends.server):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


@contextlib.contextmanager
def captured(ends: Ends, namespace: str, path: Path) -> Iterator[None]:
    """Captures what passes an end, by tcpdump, with the kernel's time stamps in nanoseconds."""
    # 32 MiB: where other jobs have the processors, tcpdump may not come to read for seconds
    command = ["tcpdump", "-i", ends.port, "-U", "-s", "128", "-B", "32768"]
    command += ["--time-stamp-precision", "nano"]
    process = subprocess.Popen(
        ends.command(namespace, [*command, "-w", str(path)]), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    with process:
        for line in process.stderr:
            if "listening on" in line:
                break
        try:
            yield
        finally:
            _settled(path)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE_S)


def _settled(path: Path) -> None:
    """Waits until nothing is added to a file any more."""
    size = -1
    while path.stat().st_size != size:
        size = path.stat().st_size
        time.sleep(1.5)  # the kernel hands a block over after a second at most


def _mac(namespace: str, port: str) -> str:
    command = ["ip", "-n", namespace, "-br", "link", "show", port]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[2]


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
