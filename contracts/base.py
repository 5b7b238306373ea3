"""What every message has in common, and the small values that messages are made of."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from contracts import addresses, names
from contracts.characters import LINE_NEVER, PROSE_NEVER, refuse_invisible, trimmed


class Message(BaseModel):
    """
    Base of everything that crosses a subject: frozen, and deaf to fields that it does not know.

    Ignoring unknown fields is the reader's half of the change rule (a new optional field keeps the type). Where a
    person writes the message by hand (YAML, commands) the edge validates with ``extra="forbid"``: a typing error shows.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null", str_strip_whitespace=False)

    @classmethod
    def made(cls, **fields: Any) -> Self:
        """
        A message that we made ourselves, of values that were checked when they came in: nothing is checked again.

        It takes every field, in order, also those that have a default.

        Raises:
            TypeError: the number of fields is wrong.
        """
        if len(fields) != len(cls.__pydantic_fields__):
            raise TypeError(f"{cls.__name__} takes {', '.join(cls.__pydantic_fields__)}, no more and no less")
        message = _new(cls)
        _set_values(message, fields)
        _set_fields(message, set(fields))
        _set_extra(message, None)
        _set_private(message, None)
        return message

    def to_json(self) -> bytes:
        """As JSON in UTF-8, without the fields that are None."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


# What pydantic's own ``model_construct`` sets, which is a third of its work.
_new = object.__new__
_set_values = BaseModel.__dict__["__dict__"].__set__
_set_fields = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra = BaseModel.__dict__["__pydantic_extra__"].__set__
_set_private = BaseModel.__dict__["__pydantic_private__"].__set__


_LONGEST_TEXT = 10_000


def _line(text: object) -> object:
    """One line whose every character can be seen: a line break in a name is how headers are forged."""
    return _seen(text, "")


def _paragraphs(text: object) -> object:
    """Allow line breaks and nothing else that a reader can't see."""
    return _seen(text, "\n")


def _seen(text: object, besides: str) -> object:
    # What is no text, or too long for any, is refused by what follows.
    if not isinstance(text, str) or len(text) > 2 * _LONGEST_TEXT:
        return text
    text = trimmed(text)
    refuse_invisible(text, besides)
    return text


# The schemas show these to everybody: as ECMA-262 §22.2.1 reads them with the flag u, and as Rust does.
_SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_LINK = r"""^https?://[^\s<>"{}|\\^`\x00-\x1f]+$"""
_IDENTITY = r"^[A-Za-z0-9][A-Za-z0-9._:-]*$"
_ADDRESS = r"""^[^@\s<>(),;:\\"\[\]]{1,64}@[^@.\s<>(),;:\\"\[\]]+(\.[^@.\s<>(),;:\\"\[\]]+)+$"""

PATTERNS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        _SLUG: (
            "may have lower-case letters, digits and single hyphens between them, as in 'gezinsaanpak-2023'",
            "mag kleine letters, cijfers en losse streepjes daartussen hebben, zoals 'gezinsaanpak-2023'",
        ),
        _LINK: (
            "must begin with http:// or https:// and have no spaces",
            "moet met http:// of https:// beginnen en geen spaties hebben",
        ),
        _IDENTITY: (
            "may have letters, digits and . _ : -, and begins with a letter or a digit",
            "mag letters, cijfers en . _ : - hebben, en begint met een letter of een cijfer",
        ),
    }
)
"""What the patterns of these values ask for, in English and Dutch, for whoever has to write one."""

Slug = Annotated[str, StringConstraints(pattern=_SLUG, max_length=64), Field(examples=["gezinsaanpak-2023"])]
"""An id that people choose and read: lower-case letters, digits and single hyphens. It fits into a subject's word."""

Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    BeforeValidator(_line),
    Field(json_schema_extra={"not": {"pattern": LINE_NEVER}}),
]
"""One line of text that people read: no line breaks, no control characters."""

Name = Annotated[
    str,
    AfterValidator(names.name),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": names.LONGEST,
            "not": {"pattern": f"{LINE_NEVER}|{names.NEVER}"},
            "description": f"A person's name: at most {names.LONGEST} characters and {names.MOST_WORDS} words,"
            " on one line, without @, the address of a website, or digits in a row.",
            "examples": ["dr.ir. A. de Vries"],
        }
    ),
]
"""What a person is called; see ``contracts.names``."""

Prose = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=_LONGEST_TEXT),
    BeforeValidator(_paragraphs),
    Field(json_schema_extra={"not": {"pattern": PROSE_NEVER}}),
]
"""Text of one or more paragraphs, parted by empty lines."""

Link = Annotated[str, StringConstraints(pattern=_LINK, max_length=2000)]
"""An absolute http or https address (RFC 3986)."""

Identity = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_IDENTITY)]
"""An id that a system chose: of an enrolment, a person, a message."""

EmailAddress = Annotated[
    str,
    AfterValidator(addresses.address),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 6,
            "maxLength": addresses.LONGEST,
            "pattern": _ADDRESS,
            "not": {"pattern": addresses.NEVER},
            "description": f"An e-mail address: at most {addresses.LONGEST_LOCAL_PART} octets before the @, and after"
            " it the name of a host with a dot in it (RFC 5321 §4.1.2, RFC 6531; without quoted local parts).",
            "examples": ["noor@bibliotheek.example"],
        }
    ),
]
"""An address to which mail can go; see ``contracts.addresses``."""

Language = Literal["nl", "en"]


class Title(Message):
    """One line in both languages, such as a title."""

    nl: Line
    en: Line


class Text(Message):
    """Paragraphs in both languages."""

    nl: Prose
    en: Prose


class Province(StrEnum):
    """The twelve provinces of the Netherlands."""

    DRENTHE = "drenthe"
    FLEVOLAND = "flevoland"
    FRYSLAN = "fryslan"
    GELDERLAND = "gelderland"
    GRONINGEN = "groningen"
    LIMBURG = "limburg"
    NOORD_BRABANT = "noord-brabant"
    NOORD_HOLLAND = "noord-holland"
    OVERIJSSEL = "overijssel"
    UTRECHT = "utrecht"
    ZEELAND = "zeeland"
    ZUID_HOLLAND = "zuid-holland"


class OrganisationKind(StrEnum):
    """What an organisation is to the library field."""

    LIBRARY = "library"
    SOCIAL_WORK_COMPANY = "social-work-company"
    MUNICIPALITY = "municipality"
    SUPPORT_ORGANISATION = "support-organisation"
    OTHER = "other"


def same_address(address: str) -> str:
    """
    The form in which two addresses are compared: without any white space and without regard to case.

    RFC 5321 §2.4 lets a host tell local parts apart by case; no library's mail host does, and people type either.
    """
    return "".join(address.split()).casefold()


_ALIASES: Mapping[str, str] = MappingProxyType(
    {"googlemail.com": "gmail.com", "protonmail.com": "proton.me", "pm.me": "proton.me", "me.com": "icloud.com"}
    | {"mac.com": "icloud.com", "ya.ru": "yandex.ru", "yandex.com": "yandex.ru"}
)
_NOT_TOLD_APART: Mapping[str, str] = MappingProxyType({"gmail.com": ".", "proton.me": ".-_"})
_PEOPLES_SUBDOMAIN = re.compile(r"([^.+]+)\.(fastmail\.(?:com|fm))")
"""Where whatever stands before the @ is a tag, and the name stands behind it."""
_PARTED_BY_HYPHEN = re.compile(r"(yahoo|ymail|rocketmail)\.[a-z.]+")


def same_mailbox(address: str) -> str:
    """
    The form in which two addresses are compared that may lead to one mailbox: for counting what somebody gets, alone.

    Without the tag that most hosts take off (``+tag``, RFC 5233 §1; ``-tag`` at Yahoo) and without the characters that
    some known providers do not tell apart. Who is who, :func:`same_address` says: elsewhere these are two people.
    """
    local, _, domain = same_address(address).rpartition("@")
    domain = domain.rstrip(".")
    domain = _ALIASES.get(domain, domain)
    if found := _PEOPLES_SUBDOMAIN.fullmatch(domain):
        local, domain = found.groups()
    local = local.partition("+")[0] or local
    if _PARTED_BY_HYPHEN.fullmatch(domain):
        local = local.partition("-")[0] or local
    for character in _NOT_TOLD_APART.get(domain, ""):
        local = local.replace(character, "")
    return f"{local}@{domain}"


_WITHOUT_PARTS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe"})
"""Letters that Unicode takes for whole, and that people who have no key for them write so."""

_NO_LETTERS = re.compile(
    r"[\u02b0-\u02ff\u0640"
    r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""
What Unicode counts as letters and marks and readers do not: apostrophes that modify (Oʻahu, OʼBrien), the line that
makes an Arabic word longer, and what shows nothing (Default_Ignorable_Code_Point, UAX #44).
"""


def same_name(name: str) -> str:
    """
    The form in which the names of two people who share an address are compared: letters, digits, and no accents.

    Case, white space and signs do not count ("O'Brien", "O’brien", "Jan-Willem", "jan willem"); nor do accents, nor the
    vowel points of Hebrew and Arabic, which are written or left out. Marks that make another letter stay: the vowel
    signs of Indic scripts, of Thai and of Khmer, and the voicing of Japanese. Initials and titles make another name.

    Two forms are compared, never shown.
    """
    if name.isascii():
        folded = "".join(filter(str.isalnum, name.lower()))
    else:
        # The compatibility caseless matching of the Unicode Standard §3.13 (D146), and then what it leaves.
        plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name.casefold()).casefold())
        letters = filter(_makes_a_name, _NO_LETTERS.sub("", plain.translate(_WITHOUT_PARTS)))
        folded = unicodedata.normalize("NFKD", "".join(letters))
    # Of a name of signs alone nothing would be left, and all of them would be one.
    return folded or "".join(name.split()).casefold()


def _makes_a_name(character: str) -> bool:
    kind = unicodedata.category(character)[0]
    if kind == "M":
        # By canonical combining class (UAX #44 §5.7.4): 10 to 36 are the points of Hebrew, Arabic and Syriac, from 200
        # on come accents above, below and through a letter. Lower ones, and those of Thai, belong to the letter.
        return not (10 <= (placed := unicodedata.combining(character)) <= 36 or placed >= 200)
    return kind in "LN"
