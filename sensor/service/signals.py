"""What signals ask of a live run, from before there is anything that they could be about.

Proving models takes a moment, in which a signal without a handler would end the process: so
handlers come first, and what was asked for meanwhile is done as soon as it can be.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from sensor.streams import write_soon

_STANDARD_ERROR = 2
_REQUESTS = (signal.SIGUSR1, signal.SIGHUP)
"""What asks for something other than the end."""


class Signals:
    """Requests by signal.

    SIGTERM and SIGINT end the run after what has been received; a second SIGINT ends it at once.
    SIGUSR1 writes the counters to standard error. SIGHUP opens the alert log anew
    and has the configuration reloaded.
    """

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None
        self._counters: Callable[[], str] | None = None
        self._ending = self._reopen = self._reload = False

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handles the signals within the block.

        Afterwards SIGUSR1 and SIGHUP are ignored where nobody else handles them: they would end
        the process, and one that is about to end has a status of its own to tell.
        """
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: self._end,
            signal.SIGINT: self._end,
            signal.SIGUSR1: self._show,
            signal.SIGHUP: self._hang_up,
        }
        before = {number: signal.signal(number, act) for number, act in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                ignored = number in _REQUESTS and handler is signal.SIG_DFL
                signal.signal(number, signal.SIG_IGN if ignored else handler)

    def are_about(self, stop: Callable[[], None], counters: Callable[[], str]) -> None:
        """Names the run; if its end was asked for already, that is now.

        Args:
            stop: ends the run; called from a signal handler, perhaps more than once.
            counters: the line that SIGUSR1 shows.
        """
        self._stop, self._counters = stop, counters
        if self._ending:
            stop()

    def reopen_asked(self) -> bool:
        """Whether SIGHUP came since this was last asked."""
        if not self._reopen:
            return False
        # Cleared before it is acted upon, and only then: one that comes meanwhile is not lost.
        self._reopen = False
        return True

    def reload_asked(self) -> bool:
        """The same, for whoever reloads the configuration."""
        if not self._reload:
            return False
        self._reload = False
        return True

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._ending = True
        if self._stop:
            self._stop()

    def _show(self, _number: int, _frame: FrameType | None) -> None:
        line = self._counters() if self._counters else "multa-sensor: starting\n"
        # Not through sys.stderr: the signal may have come in the middle of a write to it.
        write_soon(_STANDARD_ERROR, line.encode())

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._reopen = self._reload = True
