"""
How large and how intricate a mail may be that is parsed at all.

The standard library reads parameters of headers in time that grows with their square, parts within parts one inside
the other, and addresses likewise. Octets and lines are counted before it sees anything. Headers, parts and nesting are
counted where it makes them (``policy.message_factory``), before it reads what stands in them: what it takes for a
header is what is bounded, and no second reading of ours can differ from its own.
"""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import Message

LARGEST_MAIL = 10_000_000
"""Octets of one mail (services.notifications.inbox.lmtp takes no larger one)."""

MOST_LINES = 300_000
MOST_PARTS = 1_000
"""Parts, mails within the mail, and blocks of a report; the library counts them all alike."""
DEEPEST = 20
MOST_HEADERS = 5_000
MOST_HEADER_OCTETS = 1_000_000
LONGEST_HEADER = 100_000
"""Octets of one header with its continuations; mail servers cut longer ones."""
LONGEST_PARAMETERS = 8_000
"""Octets of a header with parameters: Content-Type and its kin (RFC 2045 §5.1)."""
MOST_PARAMETERS = 100

LARGEST_CALENDAR = 250_000
MOST_CALENDAR_LINES = 5_000
MOST_COMPONENTS = 100
MOST_EVENTS = 20
"""An answer is about one session; who answers for a series sends an event for each that differs."""
MOST_CALENDAR_PARAMETERS = 5_000

MOST_REPORTED = 200
"""Recipients of whom a report is read."""
MOST_WITH_WORDS = 20
"""Of so many of them what it says to a person is read as well: each is looked for in all of the words."""

LONGEST_ADDRESS = 320
ADDRESSED = 16_000
"""Octets of address headers that are looked at: the library takes a quadratic time for them."""


class TooMuch(Exception):  # noqa: N818
    """The mail exceeds a bound; the words say which, in English for staff, and quote nothing."""


class _Bounded(Message):
    """A part that says how much of everything its mail has, as the library makes it."""

    def __init__(self, counted: _Counted) -> None:
        super().__init__(policy.compat32)
        self._counted = counted
        self._depth = 0
        counted.part()

    def attach(self, payload: Message) -> None:  # type: ignore[override]
        if isinstance(payload, _Bounded):
            payload._depth = self._depth + 1
            if payload._depth > DEEPEST:
                raise TooMuch(f"its parts stand more than {DEEPEST} deep within each other")
        super().attach(payload)

    def set_raw(self, name: str, value: str) -> None:
        self._counted.header(name, value)
        super().set_raw(name, value)


class _Counted:
    def __init__(self) -> None:
        self.parts = self.headers = self.octets = 0

    def part(self) -> None:
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise TooMuch(f"it has more than {MOST_PARTS} parts")

    def header(self, name: str, value: str) -> None:
        self.headers += 1
        self.octets += len(name) + len(value)
        if self.headers > MOST_HEADERS:
            raise TooMuch(f"it has more than {MOST_HEADERS} headers")
        if len(value) > LONGEST_HEADER:
            raise TooMuch(f"one of its headers has more than {LONGEST_HEADER} octets")
        if self.octets > MOST_HEADER_OCTETS:
            raise TooMuch(f"its headers have more than {MOST_HEADER_OCTETS} octets")
        if name.lower().startswith("content-"):
            if len(value) > LONGEST_PARAMETERS:
                raise TooMuch(f"a header with parameters has more than {LONGEST_PARAMETERS} octets")
            if value.count(";") > MOST_PARAMETERS:
                raise TooMuch(f"a header has more than {MOST_PARAMETERS} parameters")


def parse(raw: bytes) -> Message:
    """
    The mail as the standard library sees it.

    Raises:
        TooMuch: it exceeds a bound.
    """
    if len(raw) > LARGEST_MAIL:
        raise TooMuch(f"it has more than {LARGEST_MAIL} octets")
    # The library ends lines at CR, LF and both.
    if raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n") > MOST_LINES:
        raise TooMuch(f"it has more than {MOST_LINES} lines")
    counted = _Counted()
    return message_from_bytes(raw, policy=policy.compat32.clone(message_factory=lambda policy: _Bounded(counted)))  # noqa: ARG005


def check_calendar(content: bytes) -> None:
    """
    Judge a calendar before its parser sees it.

    Raises:
        TooMuch: it exceeds a bound.
    """
    if len(content) > LARGEST_CALENDAR:
        raise TooMuch(f"its calendar has more than {LARGEST_CALENDAR} octets")
    if content.count(b"\n") + content.count(b"\r") > 2 * MOST_CALENDAR_LINES:
        raise TooMuch(f"its calendar has more than {MOST_CALENDAR_LINES} lines")
    if content.count(b";") > MOST_CALENDAR_PARAMETERS:
        raise TooMuch(f"its calendar has more than {MOST_CALENDAR_PARAMETERS} parameters")
    # Folding may part these words (RFC 5545 §3.1), and the parser reads them in any case.
    unfolded = content.replace(b"\r\n", b"\n").replace(b"\n ", b"").replace(b"\n\t", b"").upper()
    if unfolded.count(b"BEGIN:VEVENT") > MOST_EVENTS:
        raise TooMuch(f"its calendar has more than {MOST_EVENTS} events")
    if unfolded.count(b"BEGIN:") > MOST_COMPONENTS:
        raise TooMuch(f"its calendar has more than {MOST_COMPONENTS} components")
