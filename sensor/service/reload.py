"""Takes up a configuration that has changed, while the run goes on.

Reading it, and proving bundles in a child process, takes a second or two, for which the thread that
captures can't stand still. So a thread of its own prepares what is wanted, and the exchange is made
by the thread that captures, between two blocks. Requests that come meanwhile are one more.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sensor.errors import ConfigurationError, MultaError
from sensor.exchange import Group, Lanes
from sensor.lane import Watch
from sensor.service.beginnings import measuring
from sensor.service.config.setting_tables import RELOAD, RESTART
from sensor.service.config.settings import Settings, changes
from sensor.service.configured import detecting
from sensor.service.footprint import release_code
from sensor.service.lanes import build_groups
from sensor.unexpected import explained


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run is to go on with: proved, and not in force yet.

    Attributes:
        settings: as they were read.
        groups: what detects by them.
        adopt: takes up the rest; called by the thread that detects.
    """

    settings: Settings
    groups: Sequence[Group]
    adopt: Callable[[], None]


class Reload:
    """Reloads of a run.

    Attributes:
        done, failed: reloads so far.
        failure: why the last one failed, or None if it did not.
        lanes: of the run.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        lanes: Lanes,
        optional: set[str],
        adoption: Callable[[Settings], Callable[[], None]],
        say: Callable[[str], None],
    ) -> None:
        """Prepares for reloads.

        Args:
            settings: of the start.
            read: reads the settings anew.
            lanes: of the run.
            optional: columns that are decoded; with features that need others the run can't go on.
            adoption: prepares what is no detector, and gives what takes it up in the thread that
                detects.
            say: shows a line to a person.
        """
        self.done = self.failed = 0
        self.failure: MultaError | None = None
        self.lanes = lanes
        self._started = self._taken_up = settings  # what takes a restart is as it was then
        self._read, self._adoption, self._say = read, adoption, say
        self._optional = optional
        self._thread: threading.Thread | None = None
        self._outcome: Prepared | MultaError | None = None

    @property
    def busy(self) -> bool:
        """Whether one is being prepared."""
        return self._thread is not None

    def begin(self) -> None:
        """Begins to prepare; nothing else may be in preparation."""
        in_force = self.lanes.watches
        self._outcome = None
        self._thread = threading.Thread(
            target=self._prepare, args=(in_force,), name="reload", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:  # as many threads as this process may have
            self._outcome = explained(error)

    def finish(self) -> bool:
        """Puts in force what has been prepared; whether there was something.

        Called by the thread that captures, between two blocks.
        """
        if self._thread is None or self._thread.is_alive():
            return False
        self._thread = None
        outcome = self._outcome
        if isinstance(outcome, Prepared):
            self._take_up(outcome)
        elif outcome:
            self.failed += 1
            self.failure = outcome
            self._say(f"reload failed, everything goes on as before: {outcome}")
        return True

    def _prepare(self, in_force: Sequence[Watch]) -> None:
        try:
            settings = self._read()
            wanted = replace(settings, evidence=self._started.evidence)
            groups = build_groups(detecting(wanted, live=True), in_force)
            self._check(groups)
            self._outcome = Prepared(settings, groups, self._adoption(settings))
        except MultaError as error:
            # Without what led to it, which would keep the bundles that were read in memory.
            error.__cause__ = error.__context__ = None
            self._outcome = error.with_traceback(None)
        except Exception as error:  # noqa: BLE001 -- a reload that fails must not end the run
            self._outcome = explained(error)
        release_code()  # of what loading and proving took

    def _check(self, groups: Sequence[Group]) -> None:
        for schema, watches in groups:
            if missing := set(schema.decoded) - self._optional:
                raise ConfigurationError(
                    f"{watches[0].detector.name}: looks at {min(missing)}, which this run does not "
                    "decode; restart the sensor to use it"
                )
            if self._started.capture.cut_off and schema not in self._schemas():
                raise ConfigurationError(
                    f"{watches[0].detector.name}: has other features than the cut-off was made "
                    "for; restart the sensor to use it"
                )
            if self._started.capture.cut_off and (names := measuring(watches)):
                raise ConfigurationError(
                    f"{names}: is compared with whole flows, and the cut-off leaves packets out; "
                    "restart the sensor without capture.cut_off to use it"
                )

    def _schemas(self) -> list[object]:
        return [lane.table.schema for lane in self.lanes]

    def _take_up(self, prepared: Prepared) -> None:
        old = self.lanes.watches
        self.lanes.exchange(prepared.groups, prepared.adopt)
        self.failure = None
        self.done += 1
        begun = [watch for watch in self.lanes.watches if watch not in old]
        ended = [watch for watch in old if watch not in self.lanes.watches]
        told = [f"{_named(watch)} begins" for watch in begun]
        told += [f"{_named(watch)} ends" for watch in ended]
        detectors = ", ".join(told) or "the same detectors go on"
        changed = changes(self._taken_up, prepared.settings, RELOAD)
        self._taken_up = prepared.settings
        self._say(
            f"reloaded: {detectors}" + (f"; changed: {', '.join(changed)}" if changed else "")
        )
        if waiting := changes(self._started, prepared.settings, RESTART):
            self._say(f"takes effect with a restart only: {', '.join(waiting)}")


def _named(watch: Watch) -> str:
    name = f"{watch.detector.name} {watch.detector.version}"
    return f"{name} (shadow)" if watch.shadow else name
