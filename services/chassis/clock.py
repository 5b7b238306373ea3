"""The one place where a service learns what time it is, so that the time can be set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

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


def clock_from(setting: str | None) -> Clock:
    """
    The clock that ``setting`` asks for.

    ``None`` or an empty text is the wall clock. An ISO 8601 instant with a zone is a clock that starts there and runs
    on. Anything else is the path of a file that holds such an instant: the clock runs on from there and jumps when the
    file changes.

    Raises:
        UnreadableInstant: neither an instant nor a file that holds one.
    """
    if not setting:
        return _wall_clock
    try:
        start = _instant(setting)
    except UnreadableInstant:
        return _FileClock(Path(setting))
    return _running_from(start)


def _wall_clock() -> datetime:
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


class _FileClock:
    """Asks the file system at each call whether the file changed: a stat costs about a microsecond."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._clock: Clock = _wall_clock
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
                self._clock = _running_from(_instant(self._path.read_text()))
            except (UnreadableInstant, OSError):
                # Whoever sets the time may be half way through writing it: the old time runs on until it is whole.
                if self._seen is None:
                    raise
            else:
                self._seen = seen
        return self._clock()
