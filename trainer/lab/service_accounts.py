"""What becomes of sessions with services and of their connections, for the labels."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Account:
    """What became of a connection.

    Attributes:
        port: of the client.
        made: when it was asked for, seconds since 1970.
        closed: when its client closed it; 0: it did not.
        end: ``done``; ``left`` (given up early); ``over`` (closed because the recording ended);
            ``lost`` (it failed); ``unmade`` (the server was not reached); ``open`` (until now).
    """

    port: int
    made: float
    closed: float = 0.0
    end: str = "unmade"


@dataclass
class Session:
    """One session and its connections so far; `name` is unique in the recording."""

    name: str
    service: str
    client: str
    server: str
    connections: list[Account] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """As it stands in the account of a recording."""
        return asdict(self)
