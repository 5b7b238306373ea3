"""
Calendars as they come, made into ones that their parser reads: what an answer consists of, and nothing else.

Gateways and calendars write lines that RFC 5545 §3.1 does not allow, and the parser gives up over one line that nobody
needs. So what says something about an answer is taken out line by line, and written as the standard wants it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import parseaddr
from urllib.parse import unquote

from services.notifications.incoming.bounds import LONGEST_ADDRESS
from services.notifications.incoming.decoding import decoded

BEGINS = "BEGIN:VCALENDAR"
_BEGUN = re.compile(rb"(?:^|[\r\n])[\xef\xbb\xbf\xff\xfe \t]*BEGIN:VCALENDAR", re.IGNORECASE)
_LOOKED_AT = 100_000
_FOLDED = re.compile(rb"\r*\n[ \t]")
_PROPERTY = re.compile(r"[ \t]*([A-Za-z0-9-]{1,60})[ \t]*([;:])")
_AS_THEY_ARE = frozenset({"SEQUENCE", "DTSTAMP", "COMMENT"})
_CALENDAR = "VCALENDAR"
_TAKEN = ([_CALENDAR], [_CALENDAR, "VEVENT"])
_ADDRESS = re.compile(r"[^\s@<>\"';:,]+@[^\s@<>\"';:,]+")
_MAILTO = re.compile("mailto:", re.IGNORECASE)
_PARTSTAT = re.compile(r";[ \t]*PARTSTAT[ \t]*=[ \t]*\"?([A-Za-z0-9-]{1,40})", re.IGNORECASE)
_PARAMETER = re.compile(r";[ \t]*([A-Za-z0-9-]{1,60})[ \t]*=[ \t]*(?:\"([^\"]*)\"|([^\";:]*))")


def holds_one(content: bytes) -> bool:
    """Whether a calendar begins on a line of these octets, whatever is said of them and stands before it."""
    return _BEGUN.search(content[:_LOOKED_AT].replace(b"\0", b"")) is not None


def text_of(content: bytes, charset: str | None) -> str:
    """The text of a calendar."""
    text = decoded(content, charset, BEGINS)
    # A fold may part the octets of a character (RFC 5545 §3.1), which then make none.
    if not text.isascii() and (unfolded := _FOLDED.sub(b"", content)) != content:
        try:
            return unfolded.decode("utf-8-sig")
        except UnicodeError:
            pass
    return text


def calendars(text: str) -> Iterator[str]:
    """
    Each calendar in a text, as RFC 5545 writes one, with what says something about an answer.

    Lines that say nothing about one, or that are none, are left out, and so are components within events. A component
    that does not end, ends with the one around it.
    """
    lines: list[str] = []
    path: list[str] = []
    for line in _unfolded(text):
        found = _PROPERTY.match(line)
        if found is None:
            continue
        name, value = found[1].upper(), line[found.end() :].strip()
        if name == "BEGIN":
            if value.upper() == _CALENDAR:
                yield from _ended(lines, path, 0)
                lines, path = [], []
            path.append(value.upper())
            if path in _TAKEN:
                lines.append(f"BEGIN:{path[-1]}")
        elif name == "END" and value.upper() in path:
            depth = len(path) - 1 - path[::-1].index(value.upper())
            lines += _ends(path, depth)
            path = path[:depth]
        elif path in _TAKEN:
            lines += _written(name, line[found.start(2) :], value, in_event=len(path) > 1)
    yield from _ended(lines, path, 0)


def _ended(lines: list[str], path: list[str], depth: int) -> Iterator[str]:
    if lines:
        yield "\r\n".join([*lines, *_ends(path, depth), ""])


def _ends(path: list[str], depth: int) -> list[str]:
    """The ends of what is open within so many components, as far as it is taken."""
    return [f"END:{path[number]}" for number in range(len(path) - 1, depth - 1, -1) if path[: number + 1] in _TAKEN]


def _unfolded(text: str) -> list[str]:
    """The content lines, without those that are empty: some write CR CR LF."""
    lines: list[list[str]] = []
    for line in re.split(r"[\r\n]+", text.replace("\0", "").lstrip("\ufeff")):
        if line.startswith((" ", "\t")) and lines:
            lines[-1].append(line[1:])
        elif line:
            lines.append([line])
    return ["".join(each) for each in lines]


def _written(name: str, rest: str, value: str, *, in_event: bool) -> Iterator[str]:
    """A property as the standard writes it; nothing for one that says nothing about an answer."""
    if not in_event:
        if name == "METHOD":
            yield f"METHOD:{value.rpartition(':')[2]}"
    elif name == "ATTENDEE":
        yield from _attendee(rest)
    elif name == "UID":
        # There is no space in one of ours, and a gateway that breaks lines puts one in.
        yield f"UID:{''.join(value.split())}"
    elif name.endswith("REPLYTIME"):
        yield f"X-REPLYTIME:{value}"
    elif name in _AS_THEY_ARE:
        yield name + rest.rstrip()


def _attendee(rest: str) -> Iterator[str]:
    """
    Whose answer it is, and which, from what follows the word ``ATTENDEE``.

    Names with colons, semicolons and quotation marks stand there as they were typed, and a delegate's address
    (``SENT-BY``) before the attendee's.
    """
    given = {found[1].upper(): found[2] or (found[3] or "").strip() for found in _PARAMETER.finditer(rest)}
    partstat = [*_PARTSTAT.finditer(_outside_quotes(rest)), *_PARTSTAT.finditer(rest)]
    address = _address(rest, given)
    if address:
        answer = f";PARTSTAT={partstat[0][1].upper()}" if partstat else ""
        yield f"ATTENDEE{answer}:mailto:{address}"
    for name, value in given.items():
        if name.endswith("REPLYTIME"):
            yield f"X-REPLYTIME:{value}"
        elif name.endswith("RESPONSE-COMMENT"):
            yield "COMMENT:" + re.sub(r"([\\;,])", r"\\\1", value)


def _outside_quotes(rest: str) -> str:
    return re.sub(r"\"[^\"]*\"", "", rest) if rest.count('"') % 2 == 0 else rest


def _address(rest: str, given: dict[str, str]) -> str:
    *_, last = (None, *_MAILTO.finditer(rest))
    stated = rest[last.end() :] if last else rest.rpartition(":")[2]
    for each in (stated, given.get("EMAIL", ""), given.get("X-CALENDARSERVER-EMAIL", "")):
        text = each[: 3 * LONGEST_ADDRESS].strip("\"' \t").partition("?")[0]
        text = parseaddr(text)[1] if "<" in text else text.rstrip(">")
        text = "".join(unquote(text).split())
        if len(text) <= LONGEST_ADDRESS and _ADDRESS.fullmatch(text):
            return text
    return ""
