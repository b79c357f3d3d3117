"""What sessions with five services look like: documents, drive, music, search and video.

Shapes only: which bytes go which way and when. Host, port, certificate, protocol and stack are the
same for all (`trainer.lab.service_sessions` plays them), so a class is told from another by its
shape alone. Everything is drawn anew for each session, from ranges that overlap: a slow video is as
thin as music, a document with pictures as heavy as a small upload, and any session may begin with
the same page or be given up early. Pauses are about a fifth and large objects about a twentieth of
what people and players take, for all classes alike, so that sessions take seconds and the first
packets see more than one object.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Range = tuple[float, float]

MOST_S = 40.0
"""No connection is kept open for longer."""

_BYTES = 125 / 4
"""Bytes a second for a thousand bits a second of sound or pictures: pauses a fifth, bytes a
twentieth."""


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, on a stream of their own.

    Attributes:
        pause_s: before it.
        up, down: bytes of the request's body and of the answer.
        wait_s: the server's, before it answers.
        alongside: it does not wait until those before it are answered.
        paced: the pause counts from the beginning of the one before it, not from its end.
    """

    pause_s: float
    up: int
    down: int
    wait_s: float = 0.0
    alongside: bool = False
    paced: bool = False


@dataclass(frozen=True)
class Visit:
    """One connection of a session: when it begins, what goes through it, when it is given up."""

    after_s: float
    exchanges: tuple[Exchange, ...]
    patience_s: float


class Person:
    """Who uses a service, and with which client: habits that hold throughout one connection."""

    def __init__(self, rng: random.Random, habits: "Habits") -> None:
        self.rng = rng
        self._header = self.size(*habits.header)
        self._haste = rng.uniform(0.6, 1.6)
        self._server_s = self.between(*habits.server_s)

    def between(self, low: float, high: float) -> float:
        """A number of which small ones are as likely as large ones."""
        return math.exp(self.rng.uniform(math.log(low), math.log(high)))

    def size(self, low: float, high: float) -> int:
        """So many bytes, likewise."""
        return int(self.between(low, high))

    def often(self, share: float) -> bool:
        """Whether something of this share happens."""
        return self.rng.random() < share

    def think(self, mean_s: float) -> float:
        """A pause; most are short, some are long."""
        return min(6.0, self._haste * self.rng.gammavariate(1.5, mean_s / 1.5))

    def ask(
        self,
        down: int,
        up: int = 0,
        pause_s: float = 0.0,
        *,
        alongside: bool = False,
        paced: bool = False,
        wait_s: float | None = None,
    ) -> Exchange:
        """An exchange whose request carries the headers of this client."""
        header = int(self._header * self.rng.uniform(0.85, 1.2))
        waits = self._server_s * self.rng.uniform(0.5, 2) if wait_s is None else wait_s
        return Exchange(pause_s, header + up, down, waits, alongside, paced)

    def together(self, count: int, low: float, high: float, pause_s: float) -> Iterator[Exchange]:
        """Objects that are asked for at once, after a pause."""
        for number in range(count):
            yield self.ask(
                self.size(low, high), pause_s=0 if number else pause_s, alongside=number > 0
            )


def _landing(who: Person) -> Iterator[Exchange]:
    """The page, account or application that opens first; the same for all services."""
    if who.often(0.25):
        yield from who.together(who.rng.randint(1, 3), 200, 3000, 0)
    if who.often(0.15):
        yield who.ask(who.size(100, 2000), who.size(50, 1000), who.think(0.2))


def documents(who: Person, seconds: float) -> Iterator[Exchange]:
    """Typing, with edits up and confirmations down, other people's edits, reading, pictures."""
    rng = who.rng
    yield from who.together(rng.randint(1, 2), 800, 8000, 0)
    key_s, others = who.between(0.08, 0.5), rng.uniform(0, 0.4)
    edit = who.size(60, 400)
    spent = 0.0
    while spent < seconds:
        for _ in range(rng.randint(2, 14)):
            spent += (pause := who.think(key_s))
            if who.often(others):
                yield who.ask(who.size(80, 2000), 0, pause, wait_s=rng.uniform(0, 0.4))
            else:
                up = int(edit * rng.uniform(0.5, 1.6))
                yield who.ask(who.size(50, 250), up, pause, alongside=who.often(0.3))
        if who.often(0.15):
            yield who.ask(who.size(60, 300), who.size(2000, 40_000), who.think(0.4))
        if who.often(0.15):
            yield from who.together(rng.randint(1, 4), 800, 25_000, who.think(0.4))
        spent += (pause := who.think(1.0))
        yield who.ask(who.size(100, 600), who.size(300, 4000), pause)


def drive(who: Person, seconds: float) -> Iterator[Exchange]:
    """Lists folders, sends and fetches files, whole or in pieces, with preliminaries."""
    rng = who.rng
    uploads, budget = rng.choice((0.1, 0.5, 0.5, 0.9)), who.size(10_000, 800_000)
    piece = who.size(6000, 60_000)
    spent = 0.0
    while spent < seconds and budget > 0:
        if who.often(0.5):
            spent += (pause := who.think(0.4))
            yield who.ask(who.size(300, 6000), 0, pause)
            if who.often(0.25):
                yield from who.together(rng.randint(2, 6), 400, 4000, 0.01)
        for _ in range(rng.randint(1, 3)):
            left = who.size(1500, 400_000)
            budget -= left
            up = who.often(uploads)
            # An upload is announced, a download begins with what is known of the file.
            yield who.ask(who.size(150, 900), who.size(200, 1200) if up else 0, who.think(0.2))
            pause = 0.0
            while left > 0:
                part = min(left, int(piece * rng.uniform(0.95, 1.05)))
                left -= part
                yield who.ask(who.size(60, 400), part, pause) if up else who.ask(part, 0, pause)
                pause = rng.choice((0.0, 0.0, who.between(0.005, 0.2)))
        if who.often(0.5):
            yield who.ask(who.size(100, 1500), who.size(60, 900), who.think(0.3))
        spent += (pause := who.think(1.2))
        if who.often(0.5):  # looks at something
            yield who.ask(who.size(300, 8000), 0, pause)


def music(who: Person, seconds: float) -> Iterator[Exchange]:
    """Chunks of sound: some ahead of time, then one upon the other as they are played."""
    rng = who.rng
    if who.often(0.5):
        yield who.ask(who.size(400, 5000))
    chunk_s, spent = who.between(0.4, 1.8), 0.0
    while spent < seconds:
        chunk = rng.choice((64, 96, 128, 160, 256, 320)) * _BYTES * chunk_s
        ahead = rng.randint(1, 4)
        for number in range(rng.randint(4, 30)):
            size = int(chunk * rng.uniform(0.94, 1.06))
            pause = 0.0 if number < ahead else chunk_s * rng.uniform(0.95, 1.05)
            spent += pause
            yield who.ask(size, 0, pause, paced=True)
            if who.often(0.08):
                yield who.ask(who.size(40, 300), who.size(100, 1500), alongside=True)
            if spent > seconds or who.often(0.03):  # skipped
                break
        yield from who.together(rng.randint(1, 2), 400, 8000, who.think(0.3))


def search(who: Person, seconds: float) -> Iterator[Exchange]:
    """Suggestions while a question is typed, then results, with pictures now and then."""
    rng = who.rng
    key_s, spent = who.between(0.03, 0.25), 0.0
    suggestions = who.size(200, 2000)
    while spent < seconds:
        for _ in range(rng.randint(3, 14)):
            spent += (pause := who.think(key_s))
            down = int(suggestions * rng.uniform(0.6, 1.5))
            yield who.ask(down, 0, pause, alongside=who.often(0.4))
        if who.often(0.1):  # asked aloud, or with a picture
            yield who.ask(who.size(300, 3000), who.size(2000, 25_000), who.think(0.3))
        yield who.ask(who.size(2000, 20_000), rng.randint(0, 60), who.think(0.1))
        yield from who.together(rng.randint(0, 10), 300, 5000, who.between(0.005, 0.1))
        for _ in range(rng.randint(0, 3)):
            spent += (pause := who.think(0.7))
            if who.often(0.5):
                yield who.ask(who.size(30, 200), who.size(80, 1500), pause)
            else:
                yield from who.together(rng.randint(1, 6), 400, 8000, pause)
        spent += who.think(0.5)


_LADDER = (150, 300, 500, 800, 1300, 2000, 3500)
"""Thousand bits a second of the qualities."""


def video(who: Person, seconds: float) -> Iterator[Exchange]:
    """Segments: a burst until the buffer is full, then as they are played, at changing quality."""
    rng = who.rng
    segment_s = who.between(0.4, 1.4)
    best = rng.randrange(len(_LADDER))
    rung, spent = min(best, rng.randint(0, 3)), 0.0
    sound = who.often(0.8) * rng.choice((64, 128, 160)) * _BYTES * segment_s
    while spent < seconds:
        # What players fetch before the first segment: the list, and the beginnings of the tracks.
        yield who.ask(who.size(600, 6000), who.size(40, 900), who.think(0.2))
        yield from who.together(1 + (sound > 0), 500, 1600, 0)
        ahead = rng.randint(2, 6)
        for number in range(rng.randint(5, 40)):
            size = int(_LADDER[rung] * _BYTES * segment_s * rng.uniform(0.5, 1.5))
            pause = 0.0 if number < ahead else segment_s * rng.uniform(0.85, 1.15)
            spent += pause
            yield who.ask(size, 0, pause, paced=True)
            if sound:
                yield who.ask(int(sound * rng.uniform(0.9, 1.1)), 0, alongside=True)
            if who.often(0.12):
                yield who.ask(who.size(40, 300), who.size(300, 2500), alongside=True)
            if who.often(0.3):
                rung = min(best, max(0, rung + rng.choice((-1, 1, 1))))
            if spent > seconds or who.often(0.03):  # sought, or another one chosen
                break
        spent += who.think(0.3)


@dataclass(frozen=True)
class Habits:
    """What is usual with a service.

    Attributes:
        seconds: length of a connection.
        header: bytes of a request without its body.
        server_s: what the server takes for an answer.
        again: share of sessions with a second connection, beside the first or after it.
    """

    seconds: Range
    header: Range
    server_s: Range
    again: float


HABITS: dict[str, Habits] = {
    "documents": Habits((4, 32), (250, 800), (0.008, 0.08), 0.1),
    "drive": Habits((3, 24), (120, 400), (0.015, 0.15), 0.25),
    "music": Habits((4, 32), (60, 200), (0.001, 0.03), 0.1),
    "search": Habits((2, 22), (180, 600), (0.03, 0.2), 0.1),
    "video": Habits((4, 32), (100, 320), (0.001, 0.04), 0.15),
}

SHAPES: dict[str, Callable[[Person, float], Iterator[Exchange]]] = {
    "documents": documents,
    "drive": drive,
    "music": music,
    "search": search,
    "video": video,
}
"""The classes, in the order of label files."""

_GIVEN_UP = 0.12
"""Share of connections that are left early, whatever the service."""


def draw_session(rng: random.Random, service: str) -> tuple[Visit, ...]:
    """The connections of one session."""
    visits = [_visit(rng, service)]
    if rng.random() < HABITS[service].again:
        visits.append(_visit(rng, service, rng.choice((0.0, rng.uniform(0, 12)))))
    return tuple(visits)


def _visit(rng: random.Random, service: str, after_s: float = 0.0) -> Visit:
    who = Person(rng, HABITS[service])
    seconds = who.between(*HABITS[service].seconds)
    exchanges = (*_landing(who), *SHAPES[service](who, seconds))
    patience = who.between(0.8, 12) if who.often(_GIVEN_UP) else MOST_S
    return Visit(after_s, exchanges, patience)
