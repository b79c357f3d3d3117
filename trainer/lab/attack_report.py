"""What an attack says that it has done; the labels are made of it and checked against it."""

import threading
import time
from dataclasses import dataclass, field


@dataclass
class Connection:
    """One connection of a renegotiation attack.

    Attributes:
        port: of the attacker.
        made: when it was opened, in seconds since 1970.
        onset: when its first renegotiation began; 0 if none did.
        onset_packets: packets of the connection before that; −1 where the tool does not tell.
        count: renegotiations.
        error: what ended it early.
    """

    port: int
    made: float
    onset: float = 0.0
    onset_packets: int = -1
    count: int = 0
    error: str = ""


@dataclass
class AttackReport:
    """An attack's account of itself; safe to be written from several threads.

    Attributes:
        first, last: seconds since 1970 of its first and last packet; 0 if there was none.
        packets: frames sent, or renegotiations made.
        flows: distinct tuples that it has sent packets with.
        connections: of a renegotiation attack.
        said: the last line of the program that ran, if one did.
    """

    first: float = 0.0
    last: float = 0.0
    packets: int = 0
    flows: int = 0
    connections: list[Connection] = field(default_factory=list)
    said: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def sent(self, count: int = 1) -> None:
        """Notes that packets have been sent now."""
        now = time.time()
        with self._lock:
            self.first = self.first or now
            self.last = now
            self.packets += count

    def connected(self, port: int) -> Connection:
        """Notes that a connection is being opened now."""
        connection = Connection(port, time.time())
        self.sent(0)
        with self._lock:
            self.connections.append(connection)
            self.flows += 1
        return connection
