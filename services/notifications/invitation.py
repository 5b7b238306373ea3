"""The calendar part of a mail: one iTIP message about one event for one attendee (RFC 5545, RFC 5546, RFC 6047).

Written by hand because a library takes eighty times as long and makes a time zone that some clients read wrongly; the
tests prove every message equal to what icalendar parses and free of what libical's restriction check objects to.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from services.notifications.hygiene import line, link, mailbox
from services.notifications.letters import Address, Calendar

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
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

_HEAD = "BEGIN:VCALENDAR\r\nPRODID:-//Deelname//Notifications 1//NL\r\nVERSION:2.0\r\nCALSCALE:GREGORIAN\r\n"

Method = Literal["REQUEST", "CANCEL"]


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the calendar of one attendee is told about one session.

    `off` says, of a CANCEL, that the session is off for everybody; without it only this attendee is taken out.
    `description` may have several lines; `reminder` is what the alarm says, the summary if empty; `join` and `page` are
    shown only if they are http(s) addresses.
    """

    method: Method
    calendar: Calendar
    start: datetime
    end: datetime
    summary: str
    description: str
    location: str
    organiser: Address
    attendee: Address
    off: bool = False
    join: str | None = None
    join_label: str = "Online"
    reminder: str = ""
    page: str | None = None


def write(invitation: Invitation) -> bytes:
    """The iCalendar object: UTF-8, CRLF, lines of at most 75 octets, the VTIMEZONE before the one VEVENT.

    Raises UnusableAddress for an organiser or attendee without a usable mailbox.
    """
    calendar, attendee = invitation.calendar, invitation.attendee
    stamp = _utc(calendar.stamp)
    event, rest = _shared(
        invitation.method,
        invitation.start,
        invitation.end,
        invitation.summary,
        invitation.description,
        invitation.location,
        invitation.organiser,
        invitation.off,
        invitation.join,
        invitation.join_label,
        invitation.reminder,
        invitation.page,
    )
    head = f"{_HEAD}METHOD:{invitation.method}\r\n{TIME_ZONE}BEGIN:VEVENT\r\n".encode("ascii")
    created = b"" if calendar.created is None else fold(f"CREATED:{_utc(calendar.created)}")
    reply = "TRUE" if invitation.method == "REQUEST" else "FALSE"
    return b"".join(
        (
            head,
            fold(f"UID:{calendar.uid}"),
            fold(f"SEQUENCE:{calendar.sequence}"),
            fold(f"DTSTAMP:{stamp}"),
            created,
            fold(f"LAST-MODIFIED:{stamp}"),
            event,
            fold(
                f"ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP={reply};"
                f"CN={parameter(attendee.name)}:mailto:{mailbox(attendee.mailbox)}"
            ),
            rest,
        )
    )


@lru_cache(maxsize=256)
def _shared(  # noqa: PLR0917  (a key of the cache by name would be sorted each time)
    method: Method,
    start: datetime,
    end: datetime,
    summary: str,
    description: str,
    location: str,
    organiser: Address,
    off: bool,
    join: str | None,
    join_label: str,
    reminder: str,
    page: str | None,
) -> tuple[bytes, bytes]:
    """The lines before and after ATTENDEE, which all who are invited to a session have in common."""
    request = method == "REQUEST"
    event = (
        f"DTSTART;TZID=Europe/Amsterdam:{_local(start)}",
        f"DTEND;TZID=Europe/Amsterdam:{_local(end)}",
        f"SUMMARY:{escape(line(summary)) or '-'}",
        f"DESCRIPTION:{escape(_lines(description))}",
        f"LOCATION:{escape(line(location))}",
        f"ORGANIZER;CN={parameter(organiser.name)}:mailto:{mailbox(organiser.mailbox)}",
    )
    rest = []
    if url := link(page):
        rest.append(f"URL:{url}")
    if address := link(join):
        rest.append(f"CONFERENCE;VALUE=URI;FEATURE=AUDIO,VIDEO;LABEL={parameter(join_label)}:{address}")
    if request or off:
        rest.append(f"STATUS:{'CONFIRMED' if request else 'CANCELLED'}")
    rest += [
        "TRANSP:OPAQUE",
        "CLASS:PUBLIC",
        f"X-MICROSOFT-CDO-BUSYSTATUS:{'BUSY' if request else 'FREE'}",
        "X-MICROSOFT-CDO-INTENDEDSTATUS:BUSY",
        "X-MICROSOFT-DISALLOW-COUNTER:TRUE",
    ]
    if request:
        rest += ["BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT30M"]
        rest += [f"DESCRIPTION:{escape(line(reminder or summary)) or '-'}", "END:VALARM"]
    rest += ["END:VEVENT", "END:VCALENDAR"]
    return b"".join(map(fold, event)), b"".join(map(fold, rest))


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


def _utc(moment: datetime) -> str:
    at = moment.astimezone(UTC)
    return f"{at.year:04}{at.month:02}{at.day:02}T{at.hour:02}{at.minute:02}{at.second:02}Z"


def _local(moment: datetime) -> str:
    return moment.astimezone(AMSTERDAM).strftime("%Y%m%dT%H%M%S")
