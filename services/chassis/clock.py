"""The one place where a service learns what time it is, so that the time can be set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from pydantic import TypeAdapter

_MOMENT = TypeAdapter(datetime).serializer

Clock = Callable[[], datetime]
"""Returns the present moment, aware and in UTC."""


def written(moment: datetime) -> str:
    """A moment as messages and tables have it: ISO 8601 in UTC, such as 2023-03-02T09:14:00.250000Z."""
    # A third of the time of ``astimezone`` and ``isoformat``, which were a thirtieth of an enrolment.
    return _MOMENT.to_json(moment if moment.tzinfo is UTC else moment.astimezone(UTC))[1:-1].decode()


class UnreadableInstant(ValueError):  # noqa: N818
    """The setting (or the file it names) holds no ISO 8601 instant with a time zone."""


class Setting(NamedTuple):
    """
    That a clock was set.

    Attributes:
        since: when, by the clock of the machine.
        shows: what it was set to.
        runs: when it began to run from there, by the clock of the machine; until then it stood still.
    """

    since: datetime
    shows: datetime
    runs: datetime

    def at(self, moment: datetime) -> datetime:
        """What it showed at a moment of the machine's clock, while it was set so."""
        return self.shows + max(timedelta(0), moment - self.runs)


class SystemClock:
    """The wall clock. Called, it tells the present moment."""

    settings: tuple[Setting, ...] = ()
    """How the clock was set, oldest first; none for the wall clock."""

    def __call__(self) -> datetime:
        """The present moment."""
        return wall_clock()

    def recall(self, settings: Iterable[Setting]) -> None:
        """Know how the clock was set before this process began."""

    def showed(self, moment: datetime) -> datetime:
        """
        What this clock showed when the machine's, or the broker's, showed ``moment``.

        Never later than now: a clock that was set back, or another machine's that is ahead, must not let anything be
        asked in the future.
        """
        return min(moment, self())


class _SetClock(SystemClock):
    """A clock that was set, perhaps more than once."""

    def __init__(self) -> None:
        self._recalled: tuple[Setting, ...] = ()
        self._own: tuple[Setting, ...] = ()
        self._clock: Clock = wall_clock

    def __call__(self) -> datetime:
        return self._clock()

    @property
    def settings(self) -> tuple[Setting, ...]:  # type: ignore[override]  # asked for, not kept twice
        return self._recalled + self._own

    def recall(self, settings: Iterable[Setting]) -> None:
        begun = self._own[0]
        known = sorted(settings)
        if known and begun.since <= known[-1].since:
            # The same file as before: it was the start of this process that set the clock back to what stands there.
            self._own = (begun._replace(since=begun.runs), *self._own[1:])
        self._recalled = tuple(each for each in known if each.since < self._own[0].since)

    def showed(self, moment: datetime) -> datetime:
        now = self()
        then = next((each for each in reversed(self.settings) if each.since <= moment), self.settings[0])
        return min(then.at(moment), now)

    def _set(self, shows: datetime, since: datetime | None = None) -> None:
        now = wall_clock()
        before = self._own[-1].since if self._own else None
        if since is None or since > now or (before is not None and since < before):
            # A file that was put in the place of another may be older than that.
            since = now
        self._clock = _running_from(shows)
        self._own = (*self._own, Setting(since, shows, now))


def clock_from(setting: str | None) -> SystemClock:
    """
    The clock that ``setting`` asks for.

    ``None`` or an empty text is the wall clock. An ISO 8601 instant with a zone is a clock that starts there and runs
    on. Anything else is the path of a file that holds such an instant: the clock runs on from there and jumps when the
    file changes.

    Raises:
        UnreadableInstant: neither an instant nor a file that holds one.
    """
    if not setting:
        return SystemClock()
    try:
        start = _instant(setting)
    except UnreadableInstant:
        return _FileClock(Path(setting))
    return _ClockFrom(start)


def wall_clock() -> datetime:
    """What the machine's clock shows, whatever the service's was set to: other machines' moments are like that."""
    return datetime.now(UTC)


def _running_from(start: datetime) -> Clock:
    begun = monotonic()
    return lambda: start + timedelta(seconds=monotonic() - begun)


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UnreadableInstant(
            f"{text.strip()[:80]!r} is no ISO 8601 instant, such as 2023-03-02T09:00:00Z"
        ) from error
    if instant.tzinfo is None:
        raise UnreadableInstant(f"{text.strip()!r} has no time zone: write 2023-03-02T09:00:00Z")
    return instant.astimezone(UTC)


class _ClockFrom(_SetClock):
    def __init__(self, start: datetime) -> None:
        super().__init__()
        self._set(start)


class _FileClock(_SetClock):
    """Asks the file system at each call whether the file changed: a stat costs about a microsecond."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._seen: tuple[int, int] | None = None
        self()

    def __call__(self) -> datetime:
        try:
            status = self._path.stat()
        except OSError as error:
            if self._seen is not None:
                return self._clock()
            raise UnreadableInstant(
                f"{self._path} is neither an ISO 8601 instant nor a file that can be read"
            ) from error
        seen = (status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            try:
                self._set(_instant(self._path.read_text()), datetime.fromtimestamp(status.st_mtime, UTC))
            except (UnreadableInstant, OSError):
                # Whoever sets the time may be half way through writing it: the old time runs on until it is whole.
                if self._seen is None:
                    raise
            else:
                self._seen = seen
        return self._clock()
