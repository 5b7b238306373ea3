"""A person's own words in a mail that says something else by its form."""

from __future__ import annotations

import re

LONGEST = 1_000
"""Characters; who has more to say writes a mail of its own."""

_ENDS = re.compile(
    r"[ \t]*(?:>|-{4,}|_{8,}|--[ \t]*$|BEGIN:VCALENDAR|(?:From|Van|Von|De)[ \t]?:"
    r"|On .{1,200} wrote:|Op .{1,200} schreef)",
    re.IGNORECASE,
)
"""Where a signature, another mail or a calendar begins."""


def own_words(words: str, sender: str | None) -> str:
    """
    What stands first in a mail's words, without what it quotes; "" where there is none.

    Args:
        sender: the address of who wrote. A line that holds it is a calendar's: "Noor <noor@…> has declined".
    """
    kept = []
    for line in words.splitlines():
        if _ENDS.match(line):
            break
        if sender is None or sender.lower() not in line.lower():
            kept.append(line.rstrip())
    return "\n".join(kept).strip()[:LONGEST]
