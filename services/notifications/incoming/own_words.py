"""A person's own words in a mail that says something else by its form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.message import Message

from services.notifications.incoming.contentlines import begins, decoded

LONGEST = 1_000
"""Characters; who has more to say writes a mail of its own."""

_LOOKED_AT = 20_000
_QUOTES = re.compile(r"[ \t]*(?:>|-{4,}|_{8,}|(?:From|Van|Von|De)[ \t]?:|On .{1,200} wrote:|Op .{1,200} schreef)")


def own_words(parts: Sequence[Message], sender: str | None) -> str:
    """
    What stands first in the plain text of a mail, without what it quotes; "" where there is none.

    Args:
        sender: the address of who wrote. A line that holds it is a calendar's: "Noor <noor@…> has declined".
    """
    for part in parts:
        if part.get_content_type() != "text/plain" or part.get_filename():
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and not begins(payload):
            return _unquoted(decoded(payload[:_LOOKED_AT], part.get_content_charset()), sender)
    return ""


def _unquoted(text: str, sender: str | None) -> str:
    kept = []
    for line in text.splitlines():
        if _QUOTES.match(line) or line.rstrip() == "--":
            break
        if sender is None or sender.lower() not in line.lower():
            kept.append(line.rstrip())
    return "\n".join(kept).strip()[:LONGEST]
