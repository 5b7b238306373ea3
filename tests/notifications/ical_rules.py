"""What an iTIP message of ours has to be, read from its text alone: the thirteen mistakes that libical lets pass.

Written against RFC 5545 and RFC 5546, not against our writer, and told apart from it by mutants in test_invitation.
"""

import re
from collections.abc import Iterator

PARTICIPATION = {"NEEDS-ACTION", "ACCEPTED", "DECLINED", "TENTATIVE", "DELEGATED"}


def unfolded(text: str) -> list[str]:
    return text.replace("\r\n ", "").replace("\r\n\t", "").split("\r\n")


def block(lines: list[str], name: str) -> Iterator[list[str]]:
    begin = None
    for number, line in enumerate(lines):
        if line == f"BEGIN:{name}":
            begin = number
        elif line == f"END:{name}" and begin is not None:
            yield lines[begin + 1 : number]


def values(lines: list[str], name: str) -> list[str]:
    """The values of a property, with the parameters in front where it has any: 'TZID=…:2023…'."""
    return [line[len(name) + 1 :] for line in lines if re.match(rf"{name}[:;]", line)]


def objections(raw: bytes) -> list[str]:
    """Everything that is wrong with a calendar object, as short sentences."""
    return [*_lines(raw), *_event(unfolded(raw.decode("utf-8")))]


def _lines(raw: bytes) -> Iterator[str]:
    if raw.count(b"\n") != raw.count(b"\r\n") or not raw.endswith(b"\r\n"):
        yield "a line does not end in CRLF"
    if any(len(line) > 75 for line in re.split(rb"\r?\n", raw)):
        yield "a line is longer than 75 octets"
    if re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", raw):
        yield "a control character"


def _event(lines: list[str]) -> Iterator[str]:
    events = list(block(lines, "VEVENT"))
    if len(events) != 1:
        yield "not exactly one VEVENT"
        return
    event = events[0]
    method = values(lines, "METHOD")
    zones = [offset for zone in block(lines, "VTIMEZONE") for offset in values(zone, "TZID")]
    times = values(event, "DTSTART") + values(event, "DTEND")
    # Days are days, and moments in UTC need no zone; but the two of an event are of one kind (RFC 5545 §3.8.2.2).
    plain = [r"VALUE=DATE:\d{8}", r"\d{8}T\d{6}Z"]
    for time in () if any(all(re.fullmatch(kind, each) for each in times) for kind in plain) else times:
        zone, _, local = time.removeprefix("TZID=").partition(":")
        if not time.startswith("TZID=") or not re.fullmatch(r"\d{8}T\d{6}", local):
            yield "a time that floats or has no zone"
        elif zone not in zones:
            yield "a time in a zone that is not described"
    if len(times) != 2 or times[0].rpartition(":")[2] >= times[1].rpartition(":")[2]:
        yield "the end is not after the start"
    for offset in values(lines, "TZOFFSETFROM") + values(lines, "TZOFFSETTO"):
        if not re.fullmatch(r"[+-](?:0\d|1[0-4])[0-5]\d", offset):
            yield "an offset that no zone has"
    yield from _people(event)
    status = values(event, "STATUS")
    if (method == ["REQUEST"] and status != ["CONFIRMED"]) or (
        method == ["CANCEL"] and status not in ([], ["CANCELLED"])
    ):
        yield "a status that contradicts the method"
    if not all(re.fullmatch(r"\d+", sequence) for sequence in values(event, "SEQUENCE") or ["missing"]):
        yield "a sequence that is no count"
    for name in ("SUMMARY", "DESCRIPTION", "LOCATION"):
        for value in values(event, name):
            if re.search(r"(?<!\\)(?:\\\\)*[;,]", value) or re.search(r"(?<!\\)(?:\\\\)*\\[^\\;,nN]", value):
                yield f"{name} is not escaped"
    for alarm in block(lines, "VALARM"):
        if not values(alarm, "ACTION") or not values(alarm, "TRIGGER"):
            yield "an alarm without an action or a trigger"


def _people(event: list[str]) -> Iterator[str]:
    for name in ("ORGANIZER", "ATTENDEE"):
        for value in values(event, name):
            if not re.search(r":mailto:[^\s@:;,]+@[a-z0-9.-]+\Z", value):
                yield f"{name} without a mailto address"
    for attendee in values(event, "ATTENDEE"):
        part = re.search(r"PARTSTAT=([^;:]*)", attendee)
        if part is None or part[1] not in PARTICIPATION:
            yield "an unknown participation status"
