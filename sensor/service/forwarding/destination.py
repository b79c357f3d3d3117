"""What the forwarder asks of a place to which it sends."""

from typing import Protocol

from sensor.reporting.alert_log import Alert

TIMEOUT_S = 5.0
"""How long a connection may take to come up, and a send to be taken."""

WINDOW = 64
"""Alerts that may be under way at once: what is held in memory, and sent again after a failure."""


class UnsendableError(Exception):
    """An alert that this destination will never take; the next one may do."""


class Destination(Protocol):
    """A connection that can be lost and opened again; used by one thread.

    Attributes:
        name: kind, such as ``syslog``.
        address: where it goes, in words that hold no secret.
    """

    name: str
    address: str

    def connect(self) -> None:
        """Opens a new connection; what was under way on an old one is forgotten.

        Raises:
            OSError: it can't be reached; the text says why.
        """
        ...

    def send(self, alert: Alert) -> None:
        """Hands an alert over, after those before it.

        Raises:
            OSError: the connection is lost.
            UnsendableError: it can't be sent at all.
        """
        ...

    def delivered(self, wait_s: float) -> int:
        """How many alerts of this connection have arrived, in order of `send`.

        Args:
            wait_s: so long it may take to find out.

        Raises:
            OSError: the connection is lost.
        """
        ...

    def close(self) -> None:
        """Closes the connection; without one it does nothing."""
        ...
