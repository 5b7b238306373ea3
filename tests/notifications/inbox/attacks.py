"""Mails that cost whoever reads them more than they cost their sender."""

from __future__ import annotations

import base64
from collections.abc import Callable

HEAD = "From: a@b.example\r\nTo: bounce@deelname.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
POSTMASTER = "From: MAILER-DAEMON@b.example\r\nTo: bounce@deelname.example\r\n"


def parameters(size: int) -> bytes:
    """One header whose parameter is a quotation without end."""
    return f'{HEAD}Content-Type: text/plain; x="{";" * size}\r\n\r\nx\r\n'.encode()


def parts(number: int, size: int) -> bytes:
    """Several parts, each with such a header: a mail server that cuts headers lets it pass."""
    part = f'--b\r\nContent-Type: multipart/mixed; x="{";" * size}\r\n\r\nx\r\n'
    return f"{HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n{part * number}--b--\r\n".encode()


def letters(size: int) -> bytes:
    """One line of letters."""
    return f"{HEAD}Content-Type: text/plain\r\n\r\n{'a' * size}\r\n".encode()


def from_a_postmaster(piece: str, size: int) -> bytes:
    """What is searched for addresses that failed."""
    return f"{POSTMASTER}\r\n{(piece * size)[:size]}\r\n".encode()


def encoded(piece: bytes, size: int) -> bytes:
    """What is searched after it was decoded."""
    body = base64.encodebytes((piece * size)[:size])
    return f"{POSTMASTER}Content-Transfer-Encoding: base64\r\n\r\n".encode() + body


def deep(levels: int, lines: int = 0) -> bytes:
    """Parts within parts, each line compared with the end of each."""
    begun = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(levels))
    return f"{HEAD}{begun}\r\n{'--b' * bool(lines)}{chr(10) * lines}".encode()


def nested_mails(levels: int) -> bytes:
    """A mail in a mail in a mail."""
    return (HEAD + "Content-Type: message/rfc822\r\n\r\n" * levels + "x\r\n").encode()


def headers(number: int, value: str = "y") -> bytes:
    """Many headers."""
    return (HEAD + f"X: {value}\r\n" * number + "\r\nx\r\n").encode()


def senders(size: int, piece: str = "@") -> bytes:
    """One address header that is hard to read."""
    return f"{POSTMASTER}From: {(piece * size)[:size]}\r\n\r\nx\r\n".encode()


def calendar(lines: str) -> bytes:
    """An answer to an invitation."""
    return (
        f"{HEAD}Content-Type: text/calendar; method=REPLY; charset=utf-8\r\n\r\n"
        f"BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nVERSION:2.0\r\n{lines}END:VCALENDAR\r\n"
    ).encode()


def calendars(number: int) -> bytes:
    """Answers in so many parts, each of which is within bounds."""
    lines = "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b.example\r\n" * 240
    answer = (
        f"BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\n{f'BEGIN:VEVENT{chr(10)}UID:x{chr(10)}{lines}END:VEVENT{chr(10)}' * 19}"
    )
    return several("text/calendar; method=REPLY", answer + "END:VCALENDAR\r\n", number)


def several(kind: str, content: str, number: int) -> bytes:
    """So many parts that are alike."""
    part = f"--b\r\nContent-Type: {kind}\r\n\r\n{content}\r\n"
    return f"{POSTMASTER}Content-Type: multipart/mixed; boundary=b\r\n\r\n{part * number}--b--\r\n".encode()


def event(number: int = 0, more: str = "") -> str:
    """An event of an answer."""
    return (
        f"BEGIN:VEVENT\r\nUID:u{number}@x\r\nDTSTAMP:20260101T000000Z\r\n{more}"
        "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b.example\r\nORGANIZER:mailto:deelname@deelname.example\r\nEND:VEVENT\r\n"
    )


def replies(number: int) -> bytes:
    """An answer about so many events."""
    return calendar("".join(map(event, range(number))))


SIZES: dict[str, tuple[Callable[[int], bytes], int]] = {
    "parameters": (parameters, 300_000),
    "a header of 40 KB in each of four parts": (lambda size: parts(4, size), 40_000),
    "many parts": (lambda number: parts(number, 90), 10_000),
    "a line of letters": (letters, 9_000_000),
    "events": (replies, 20_000),
    "lines": (lambda number: letters(9) + b"\n" * number, 900_000),
    "parts in parts": (deep, 3_000),
    "mails in mails": (nested_mails, 3_000),
    "headers": (headers, 100_000),
    "a header": (lambda size: headers(1, "y" * size), 5_000_000),
    "addresses": (senders, 90_000),
    "words of a postmaster": (lambda size: from_a_postmaster("<a@b.c>: ", size), 900_000),
    "an encoded line": (lambda size: encoded(b"a@", size), 900_000),
    "parameters of a calendar": (lambda size: calendar(event(0, f"X-A;X={',' * size}:y\r\n")), 24_000),
    "lines of a postmaster": (lambda size: from_a_postmaster("\n", size), 240_000),
    "calendars in many parts": (lambda size: calendars(size // 1_000), 38_000),
    "styles in many parts": (
        lambda number: several("text/html", "Subject: " + "<style" * 16_000, number // 1_000),
        90_000,
    ),
    "entities in many parts": (lambda number: several("text/html", "&#32;" * 20_000, number // 1_000), 90_000),
    "folds of a calendar": (lambda size: calendar(event(0, "X-A:" + "\r\n a" * size + "\r\n")), 4_000),
}
"""By name: what makes one, and its size; it may as well be ten times as large."""
