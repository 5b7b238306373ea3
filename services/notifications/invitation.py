"""The calendar part of a mail: one iTIP message about one event for one attendee (RFC 5545, RFC 5546, RFC 6047).

Written by hand because a library takes eighty times as long and makes a time zone that some clients read wrongly; the
tests prove every message equal to what icalendar parses and free of what libical's restriction check objects to.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote

from contracts.moments import AMSTERDAM, day_of
from services.notifications.hygiene import line, link, mailbox
from services.notifications.letters import Address, Calendar

LONGEST_LINE = 75
"""Octets without the line break (RFC 5545 §3.1)."""

TIME_ZONE = (
    "BEGIN:VTIMEZONE\r\n"
    "TZID:Europe/Amsterdam\r\n"
    "X-LIC-LOCATION:Europe/Amsterdam\r\n"
    "BEGIN:STANDARD\r\n"
    "DTSTART:19701025T030000\r\n"
    "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n"
    "TZNAME:CET\r\n"
    "TZOFFSETFROM:+0200\r\n"
    "TZOFFSETTO:+0100\r\n"
    "END:STANDARD\r\n"
    "BEGIN:DAYLIGHT\r\n"
    "DTSTART:19700329T020000\r\n"
    "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n"
    "TZNAME:CEST\r\n"
    "TZOFFSETFROM:+0100\r\n"
    "TZOFFSETTO:+0200\r\n"
    "END:DAYLIGHT\r\n"
    "END:VTIMEZONE\r\n"
)
"""Constant on purpose: exactly one STANDARD and one DAYLIGHT with a yearly rule (MS-OXCICAL 2.1.3.1.1.19.2)."""

_IN_ADDRESSES = "!#$&'*+-./=?^_`{|}~@"

_HEAD = "BEGIN:VCALENDAR\r\nPRODID:-//Deelname//Notifications 1//NL\r\nVERSION:2.0\r\nCALSCALE:GREGORIAN\r\n"

Method = Literal["REQUEST", "CANCEL"]


@dataclass(frozen=True, slots=True)
class Event:
    """What all who are invited to a session are told of it.

    `all_day`: its time is not known yet; `start` and `end` are the first moment of its first day and the first after
    its last. `off` says, of a CANCEL, that the session is off for everybody; without it only this attendee is taken
    out. `description` may have several lines; `reminder` is what the alarm says, the summary if empty; `join` and
    `page` are shown only if they are http(s) addresses.
    """

    method: Method
    start: datetime
    end: datetime
    summary: str
    description: str
    location: str
    organiser: Address
    off: bool = False
    join: str | None = None
    join_label: str = "Online"
    reminder: str = ""
    page: str | None = None
    all_day: bool = False


class Outline(NamedTuple):
    """An iTIP message but for whose it is: what stands before, between and behind that."""

    method: Method
    head: bytes
    event: bytes
    rest: bytes

    def to(self, attendee: Address, calendar: Calendar) -> bytes:
        """The iCalendar object: UTF-8, CRLF, lines of at most 75 octets, a VTIMEZONE before the one VEVENT.

        A day has no time zone, and so no VTIMEZONE.

        Raises UnusableAddress for an attendee without a usable mailbox.
        """
        stamp = _utc(calendar.stamp)
        created = "" if calendar.created is None else f"CREATED:{_utc(calendar.created)}\r\n"
        reply = "TRUE" if self.method == "REQUEST" else "FALSE"
        # RFC 5545 §3.2.2: the name may be left out.
        name = f";CN={parameter(attendee.name)}" if line(attendee.name) else ""
        return b"".join(
            (
                self.head,
                fold(f"UID:{calendar.uid}"),
                # None of these lines is long enough to be folded.
                f"SEQUENCE:{calendar.sequence}\r\nDTSTAMP:{stamp}\r\n{created}LAST-MODIFIED:{stamp}\r\n".encode(),
                self.event,
                fold(
                    f"ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP={reply}"
                    f"{name}:{_mailto(attendee)}"
                ),
                self.rest,
            )
        )


def _mailto(whose: Address) -> str:
    """A calendar address (RFC 5545 §3.3.3): letters beyond ASCII are percent-encoded (RFC 6068 §2)."""
    address = mailbox(whose.mailbox)
    return f"mailto:{address if address.isascii() else quote(address, safe=_IN_ADDRESSES)}"


def outline(event: Event) -> Outline:
    """What is known of an iTIP message before it is known to whom it goes.

    Raises UnusableAddress for an organiser without a usable mailbox.
    """
    organiser, request = event.organiser, event.method == "REQUEST"
    # A meeting of some hours must not block its whole day while nobody knows which hours these are.
    busy = "FREE" if event.all_day else "BUSY"
    shared = (
        *_when(event),
        f"SUMMARY:{escape(line(event.summary)) or '-'}",
        f"DESCRIPTION:{escape(_lines(event.description))}",
        f"LOCATION:{escape(line(event.location))}",
        f"ORGANIZER;CN={parameter(organiser.name)}:{_mailto(organiser)}",
    )
    rest = []
    if url := link(event.page):
        rest.append(f"URL:{url}")
    if address := link(event.join):
        rest.append(f"CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL={parameter(event.join_label)}:{address}")
    if request or event.off:
        rest.append(f"STATUS:{'CONFIRMED' if request else 'CANCELLED'}")
    rest += [
        f"TRANSP:{'TRANSPARENT' if event.all_day else 'OPAQUE'}",
        "CLASS:PUBLIC",
        f"X-MICROSOFT-CDO-BUSYSTATUS:{busy if request else 'FREE'}",
        f"X-MICROSOFT-CDO-INTENDEDSTATUS:{busy}",
        "X-MICROSOFT-DISALLOW-COUNTER:TRUE",
    ]
    if event.all_day:
        rest.append("X-MICROSOFT-CDO-ALLDAYEVENT:TRUE")
    if request:
        # Of a day: at nine in the morning of the day before.
        rest += ["BEGIN:VALARM", "ACTION:DISPLAY", f"TRIGGER:{'-PT15H' if event.all_day else '-PT30M'}"]
        rest += [f"DESCRIPTION:{escape(line(event.reminder or event.summary)) or '-'}", "END:VALARM"]
    rest += ["END:VEVENT", "END:VCALENDAR"]
    return Outline(
        event.method,
        f"{_HEAD}METHOD:{event.method}\r\n{'' if event.all_day else TIME_ZONE}BEGIN:VEVENT\r\n".encode("ascii"),
        b"".join(map(fold, shared)),
        b"".join(map(fold, rest)),
    )


def fold(content: str) -> bytes:
    """One content line with its CRLF, folded to 75 octets without splitting a character (RFC 5545 §3.1)."""
    octets = content.encode("utf-8", "replace")
    if len(octets) <= LONGEST_LINE:
        return octets + b"\r\n"
    parts = []
    begin, room = 0, LONGEST_LINE
    while begin < len(octets):
        end = begin + room
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(octets[begin:end])
        begin, room = end, LONGEST_LINE - 1
    return b"\r\n ".join(parts) + b"\r\n"


def escape(text: str) -> str:
    """A TEXT value (RFC 5545 §3.3.11)."""
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def parameter(text: str) -> str:
    """A quoted parameter value, its quotes and carets written as RFC 6868 says."""
    return '"' + line(text).replace("^", "^^").replace('"', "^'") + '"'


def _lines(text: str) -> str:
    return "\n".join(line(part) for part in text.splitlines()).strip("\n")


@lru_cache(maxsize=1024)
def _utc(moment: datetime) -> str:
    at = moment.astimezone(UTC)
    return f"{at.year:04}{at.month:02}{at.day:02}T{at.hour:02}{at.minute:02}{at.second:02}Z"


def _when(event: Event) -> tuple[str, str]:
    if event.all_day:
        # RFC 5545 §3.6.1: the end of a day is not part of the event.
        return (
            f"DTSTART;VALUE=DATE:{day_of(event.start):%Y%m%d}",
            f"DTEND;VALUE=DATE:{day_of(event.end):%Y%m%d}",
        )
    local = [at.astimezone(AMSTERDAM) for at in (event.start, event.end)]
    if any(at.fold for at in local):
        # RFC 5545 §3.3.5: of a local time that comes twice, the first is meant; the second can be said in UTC alone.
        return f"DTSTART:{_utc(event.start)}", f"DTEND:{_utc(event.end)}"
    start, end = (at.strftime("%Y%m%dT%H%M%S") for at in local)
    return f"DTSTART;TZID=Europe/Amsterdam:{start}", f"DTEND;TZID=Europe/Amsterdam:{end}"
