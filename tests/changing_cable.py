"""A cable whose delay and loss are changed while it carries frames: noise, swells and outages."""

import mmap
import struct
from typing import cast

from trainer.lab.links import Cable

_FORM = struct.Struct("ddd")


class ChangingCable:
    """A `trainer.lab.links.Cable` that the process that carries its frames shares with this one.

    All times are of the way there and back.
    """

    rate_kbit = 0.0
    loss_burst = 1.0

    def __init__(self, rtt_ms: float, jitter_ms: float) -> None:
        self._rtt_ms = rtt_ms
        self.jitter_ms = jitter_ms / 2
        self._shared = mmap.mmap(-1, _FORM.size)  # stays one memory after a fork
        self.calm()

    def as_cable(self) -> Cable:
        """This one, as what it stands in for."""
        return cast("Cable", self)

    def calm(self) -> None:
        """As it was made."""
        self._set(0.0, 0.0, 0.0)

    def swell(self, more_ms: float) -> None:
        """All frames take longer from now on."""
        self._set(more_ms, 0.0, 0.0)

    def cut(self) -> None:
        """All frames are lost from now on."""
        self._set(0.0, 0.0, 1.0)

    def hold_one(self, more_ms: float) -> None:
        """The next frame takes longer, whichever way it goes."""
        self._set(0.0, more_ms, 0.0)

    @property
    def delay_ms(self) -> float:
        """One way, of the frame that asks."""
        swell, once, loss = _FORM.unpack(self._shared[:])
        if once:
            self._set(swell, 0.0, loss)
        return float((self._rtt_ms + swell) / 2 + once)

    @property
    def loss(self) -> float:
        """Share of frames."""
        return float(_FORM.unpack(self._shared[:])[2])

    def _set(self, swell: float, once: float, loss: float) -> None:
        self._shared[:] = _FORM.pack(swell, once, loss)
