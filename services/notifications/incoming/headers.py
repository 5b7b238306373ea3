"""What the headers of a mail say, as far as anything reads them."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from email.utils import getaddresses

from services.notifications.incoming.bounds import ADDRESSED, LONGEST_ADDRESS

_LOOKED_AT = 4_000
_MOST_RECIPIENTS = 100


def header(part: Message, name: str) -> str:
    """The text of a header on one line, "" where there is none."""
    return " ".join(str(part.get(name, "")).split())[:_LOOKED_AT]


def sender(message: Message) -> str | None:
    """The address of the header From; None where it has none or several."""
    found = _addresses([str(each) for each in message.get_all("From", [])])
    return found[0] if len(found) == 1 and len(found[0]) <= LONGEST_ADDRESS else None


def recipients(message: Message) -> Iterator[str]:
    """To whom the headers say that it goes."""
    for field in ("Delivered-To", "X-Original-To", "Envelope-To", "To"):
        found = _addresses([str(each) for each in message.get_all(field, [])])
        yield from (each for each in found[:_MOST_RECIPIENTS] if len(each) <= LONGEST_ADDRESS)


def _addresses(values: list[str]) -> list[str]:
    """All addresses of a header; none where they are too many octets."""
    if sum(map(len, values)) > ADDRESSED:
        return []
    return [address for _, address in getaddresses(values) if address]
