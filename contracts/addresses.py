"""What an e-mail address is, and how it is written on an envelope: one definition for every door and every mail."""

from __future__ import annotations

import re
from typing import Final

from contracts.characters import JOINERS, Unfit, refuse_invisible, trimmed, unfit_character

LONGEST: Final = 254
"""Octets: RFC 5321 §4.5.3.1.3 with the erratum that counts the angle brackets."""
LONGEST_LOCAL_PART: Final = 64
"""Octets before the @ (RFC 5321 §4.5.3.1.1)."""
_LONGEST_TYPED: Final = 400

# What nearly every address looks like needs no library: letters, digits and a few signs, no dots at the edges, and
# labels of a host name (RFC 5321 §4.1.2, RFC 1123 §2.1). Everything else is judged by email-validator.
_PLAIN: Final = re.compile(
    r"[A-Za-z0-9_+'-]+(?:\.[A-Za-z0-9_+'-]+)*@(?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}"
)
NEVER: Final = r"^\.|\.\.|\.@|@-|@[^@]*(?:\.-|-\.)|-$"
"""For schemas: what no address has in it, of what is looked at here; what a host is, a schema can hardly say."""
_NEVER: Final = frozenset(' <>(),;:\\"[]')
"""What stands around an address and not in it, but for quoted local parts, which no library's mail host has."""


def address(text: str) -> str:
    """
    An e-mail address as it is kept and goes on an envelope: the addr-spec of RFC 5322 §3.4.1 without quoted local part.

    Invisible characters and spaces around it are left out. The host is in lower case, an international one in its ASCII
    form (RFC 5891); what stands before the @ stays as it is, and may have letters beyond ASCII (RFC 6531).

    Raises:
        Unfit: no mail can go there; it says why, and which character it is where one is at fault.
    """
    if _PLAIN.fullmatch(text) and len(text) <= LONGEST and text.index("@") <= LONGEST_LOCAL_PART:
        return text
    text = trimmed(text)
    if len(text) > _LONGEST_TYPED:
        raise _too_long()
    refuse_invisible(text)
    if not text:
        raise Unfit("An e-mail address must not be empty.", "Vul een e-mailadres in.", "empty")
    for number, character in enumerate(text, 1):
        if character in _NEVER or character in JOINERS or character.isspace():
            raise unfit_character(character, number)
    local, at, host = text.rpartition("@")
    if not at or "@" in local:
        raise Unfit(
            "An e-mail address has one @, as in 'noor@bibliotheek.example'.",
            "In een e-mailadres staat één keer een @, zoals in ‘noor@bibliotheek.example’.",
            "address",
        )
    if not local:
        raise Unfit("A name stands before the @.", "Vóór de @ staat een naam.", "address")
    if len(local.encode()) > LONGEST_LOCAL_PART:
        raise Unfit(
            f"At most {LONGEST_LOCAL_PART} characters can stand before the @.",
            f"Vóór de @ staan maximaal {LONGEST_LOCAL_PART} tekens.",
            "address",
        )
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise Unfit(
            "Before the @ a dot stands between other characters, and not beside another dot.",
            "Vóór de @ staat een punt tussen andere tekens, en niet naast een andere punt.",
            "address",
        )
    plain = f"{local}@{host.lower()}"
    good = plain if _PLAIN.fullmatch(plain) else _judged(local, host)
    if len(good.encode()) > LONGEST:
        raise _too_long()
    return good


def needs_smtputf8(address: str) -> bool:
    """Whether only a mail server with SMTPUTF8 (RFC 6531) can send to it: letters beyond ASCII stand before the @."""
    return not address.isascii()


def _judged(local: str, host: str) -> str:
    # It takes a twentieth of a second to import, and almost no address needs it.
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415

    try:
        reached = validate_email(f"x@{host}", check_deliverability=False, test_environment=True).ascii_domain
    except EmailNotValidError:
        raise Unfit(
            "What stands after the @ is no host that mail can go to, such as 'bibliotheek.example'.",
            "Wat na de @ staat, is geen adres waar mail naartoe kan, zoals ‘bibliotheek.example’.",
            "address",
        ) from None
    try:
        valid = validate_email(f"{local}@x.example", check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise Unfit(
            "What stands before the @ has a character that no mail server takes.",
            "Vóór de @ staat een teken dat geen mailserver aanneemt.",
            "address",
        ) from None
    return f"{valid.local_part}@{reached}"


def _too_long() -> Unfit:
    return Unfit(
        f"An e-mail address has at most {LONGEST} characters.",
        f"Een e-mailadres heeft maximaal {LONGEST} tekens.",
        "too-long",
    )
