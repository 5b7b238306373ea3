"""What rows stand for, and how moments and details are written into columns."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from pydantic import TypeAdapter

from contracts.facts import DeliveryVerdict
from contracts.queries import MailStatus
from services.notifications.domain import NOTHING, Detail, History, Intention, Planned
from services.notifications.domain.mails import NO_DETAIL, TO_CONTACT, Appointment
from services.notifications.letters import Purpose

DETAIL: TypeAdapter[Detail] = TypeAdapter(Detail)
_DETAILS_REMEMBERED = 4096
_NO_DETAIL = "{}"
PLANNED = "m.id, m.purpose, m.person, m.programme, m.planned_at, m.enrolment, m.session, m.detail, m.copy_of"
"""The columns that :func:`planned` reads."""

TO_CONTACT_LIST = ", ".join(f"'{purpose}'" for purpose in sorted(TO_CONTACT))
"""Purposes of mails whose recipient is not the person that they are about, as SQL lists them."""

HELD = "waits a little, so that further changes of the session are told with it"
"""What is said of a mail that is held."""

ALL = -1
"""No limit, as SQLite understands it."""


class Due(NamedTuple):
    """
    A mail whose time has come, with what decides how it goes out.

    Attributes:
        planned_at: when it was planned.
        first_at: when it was first tried, if it was.
        raw: the bytes of an earlier attempt, which a further one repeats (RFC 1047 is why).
        recipient: the address that ``raw`` is for.
        confirmation: the id of the mail that welcomed this person into this enrolment, if there was one.
        confirmation_message: its Message-ID, once it was written.
        previous: the Message-ID of the last mail about the same calendar item that may have arrived.
        overtaken: whether a later mail about the same calendar item went out already.
        history: what was written about the mail's calendar item until now.
        trace: the ``traceparent`` of the fact that called for the mail.
        actor: the account of whoever of the staff had it tried again.
        by_stranger: whether anybody may have caused it.
        answered: whether the person has ever answered an invitation.
        told_at: the address at which the item was told that this takes back because its person has another now; None
            also where nothing more goes to it.
        answers: what the person answered, where the mail is about that.
    """

    ordinal: int
    mail: Planned
    planned_at: datetime
    first_at: datetime | None
    attempts: int
    message_id: str | None
    raw: bytes | None
    recipient: str | None
    confirmation: str | None = None
    confirmation_message: str | None = None
    previous: str | None = None
    overtaken: bool = False
    history: History = NOTHING
    trace: str | None = None
    actor: str | None = None
    by_stranger: bool = False
    answered: bool = False
    told_at: str | None = None
    answers: tuple[Intention, ...] = ()


class Written(NamedTuple):
    """
    A mail about to be sent: its bytes, and whom they are for.

    ``purpose`` and ``said`` are what it came to say about a calendar item, when that was settled. ``kept`` is stored in
    place of ``raw`` where that holds what nobody but the recipient may see. ``answers`` are those that it tells of.
    """

    ordinal: int
    message_id: str
    recipient: str
    raw: bytes
    purpose: Purpose | None = None
    said: Appointment | None = None
    kept: bytes | None = None
    answers: tuple[Intention, ...] = ()


class Outcome(NamedTuple):
    """
    What became of a mail: its new status, and when it is due again if that is ``planned``.

    ``verdict`` is what a mail server's refusal says about the address. ``uncounted`` takes the attempt back: it was not
    made. ``perhaps`` says of a mail that is planned again that an attempt may have arrived nevertheless, ``reached``
    whether the mail server answered for it, or takes no mail at all; None where it was not asked.
    """

    ordinal: int
    status: MailStatus
    answer: str
    due_at: datetime | None = None
    verdict: DeliveryVerdict | None = None
    uncounted: bool = False
    perhaps: bool = False
    reached: bool | None = None


@lru_cache(maxsize=1024)
def text(moment: datetime) -> str:
    """A moment as columns hold it: texts that sort as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def planned(row: sqlite3.Row) -> Planned:
    """A planned mail from a row that has the columns of ``PLANNED``."""
    return Planned(
        id=row["id"],
        purpose=row["purpose"],
        person=row["person"],
        programme=row["programme"],
        due_at=datetime.fromisoformat(row["planned_at"]),
        enrolment=row["enrolment"],
        session=row["session"],
        detail=read_detail(row["detail"]),
        copy_of=row["copy_of"],
    )


class _Details:
    """
    Details as their column holds them.

    Most mails go out moments after they were planned: what was written last is remembered, and need not be read.
    """

    def __init__(self) -> None:
        self._last: dict[str, Detail] = {}

    def write(self, detail: Detail) -> str:
        if detail is NO_DETAIL:
            return _NO_DETAIL
        written = DETAIL.serializer.to_json(detail, exclude_defaults=True).decode()
        if len(self._last) >= _DETAILS_REMEMBERED:
            self._last.clear()
        self._last[written] = detail
        return written

    def read(self, written: str) -> Detail:
        if written == _NO_DETAIL:
            return NO_DETAIL
        return self._last.pop(written, None) or DETAIL.validate_json(written)


_DETAILS = _Details()
write_detail, read_detail = _DETAILS.write, _DETAILS.read
