"""What a template sees of a letter: strings, numbers, lists and dicts, already cleaned and in one language."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from babel.numbers import format_currency, format_decimal

from contracts.dates import LOCALES, clock, day, days, hours, starting, weekday, when
from services.notifications.hygiene import UnusableAddress, line, link, mailbox, paragraphs, shortened
from services.notifications.letters import (
    Contact,
    Declined,
    Language,
    Online,
    Place,
    Price,
    Session,
    Slot,
    Undeliverable,
    Venue,
)

View = Mapping[str, Any]

LONGEST_TITLE = 200

LONGEST_WORDS = 500
"""Characters of what somebody wrote with an answer."""

_ONLINE_ROOMS = {
    "teams.microsoft.com": "Teams",
    "teams.live.com": "Teams",
    "zoom.us": "Zoom",
    "meet.google.com": "Google Meet",
    "webex.com": "Webex",
    "meet.jit.si": "Jitsi",
    "bigbluebutton.org": "BigBlueButton",
}


def title_of(text: str) -> str:
    """A title or a name on one line, of at most 200 characters."""
    return shortened(line(text), LONGEST_TITLE)


def start_of(session: Session) -> Any:
    """When a session starts, to sort by; only for sessions that have a date."""
    return session.slot.start


def _when(slot: Slot, language: Language) -> str:
    """The day and the hours, or that these follow; nothing while no date is known."""
    return when(slot.start, slot.end, language, all_day=slot.all_day) if slot.start and slot.end else ""


def _hours(slot: Slot) -> tuple[object, ...]:
    return slot.start, slot.end, slot.all_day


def _days_or_when(slot: Slot, language: Language) -> str:
    """Likewise, of what is no more: nothing follows."""
    return days(slot.start, slot.end, language) if slot.all_day and slot.start and slot.end else _when(slot, language)


@lru_cache(maxsize=4096)
def _where(place: Place | None, online: str, online_later: str) -> str:
    match place:
        case None:
            return ""
        case Venue(name, address):
            return ", ".join(part for part in (line(name), line(address)) if part)
        case Online(address, platform):
            room = line(platform or "") or _room(link(address))
            words = online if address else online_later
            return words.replace(online, f"{online} ({room})", 1) if room else words


def _room(address: str | None) -> str | None:
    host = urlsplit(address or "").hostname or ""
    return next((room for domain, room in _ONLINE_ROOMS.items() if host == domain or host.endswith(f".{domain}")), None)


def _join(place: Place | None) -> tuple[str, bool]:
    """The link as it is shown, and whether it may be clicked: what is no web address is still told, as text."""
    if not isinstance(place, Online) or not place.link:
        return "", False
    address = link(place.link)
    return (address, True) if address else (line(place.link), False)


def of_session(
    session: Session,
    labels: View,
    language: Language,
    *,
    struck: bool = False,
    brief: bool = False,
    before: Slot | None = None,
    year: int | None = None,
    described: int = 0,
) -> dict[str, Any]:
    """
    A session as a heading and rows.

    `struck`: it is off; `brief`: not how to join it; `before`: what it was; `year`: the one that a subject need not
    name; `described`: the most characters of its description, which is left out by itself.
    """
    slot = session.slot
    time = _days_or_when(slot, language) if struck or brief else _when(slot, language)
    undated = f"{line(slot.period)}, {labels['date_follows']}" if slot.period else labels["no_date"]
    if struck:
        undated = line(slot.period or "")
    # Who is not to join is promised no link.
    later = labels["online" if struck or brief else "online_later"]
    where = _where(slot.place, labels["online"], later)
    join, clickable = ("", False) if struck or brief else _join(slot.place)
    was_when = _days_or_when(before, language) if before else ""
    was_where = _where(before.place, labels["online"], labels["online_later"]) if before else ""
    moved = before is not None and was_when != "" and _hours(before) != _hours(slot)
    elsewhere = was_where not in ("", where)
    rows = []
    if time or undated:
        now = labels["now_when" if moved else "when"]
        rows.append(_row(now, time or undated, struck=struck, first=True, plain=labels["when"]))
    if moved:
        rows.append(_row(labels["was_when"], was_when, struck=True, former=True))
    if where:
        rows.append(_row(labels["now_where" if elsewhere else "where"], where, struck=struck, plain=labels["where"]))
    if elsewhere:
        rows.append(_row(labels["was_where"], was_where, struck=True, former=True))
    if join:
        rows.append(_row(labels["join"], join, clickable=clickable))
    if session.lunch and not struck and not brief:
        rows.append(_row(labels["lunch"], labels["lunch_included"]))
    return {
        "title": title_of(session.title),
        "when": time,
        "where": where,
        "day": day(slot.start, language, year) if slot.start else "",
        "weekday": weekday(slot.start, language) if slot.start else "",
        "begins": starting(slot.start, language, all_day=slot.all_day) if slot.start else "",
        "clock": clock(slot.start, language, all_day=slot.all_day) if slot.start else "",
        "hours": hours(slot.start, slot.end, language, all_day=slot.all_day) if slot.start and slot.end else "",
        "was_day": day(before.start, language, year) if before and before.start else "",
        "description": [shortened(part, described) for part in paragraphs(session.description)] if described else [],
        "join": join,
        "clickable": clickable,
        "struck": struck,
        "rows": rows,
    }


def _row(
    label: str,
    value: str,
    *,
    struck: bool = False,
    clickable: bool = False,
    former: bool = False,
    first: bool = False,
    plain: str = "",
) -> View:
    """`former`: what holds no more; `first`: what most look for; `plain`: the label where no change is told."""
    return {
        "label": label,
        "value": value,
        "struck": struck,
        "clickable": clickable,
        "former": former,
        "first": first,
        "plain": plain or label,
    }


def change_of(before: Slot, now: Slot) -> str:
    """What is most worth saying about a move: "day", "time", "place" or "link"."""
    if before.start is None or now.start is None or day(before.start, "nl") != day(now.start, "nl"):
        return "day"
    if _hours(before) != _hours(now):
        return "time"
    return "link" if isinstance(before.place, Online) and isinstance(now.place, Online) else "place"


class Capacity(NamedTuple):
    """In which capacity somebody takes part, in words to show, and what is planned for that and asked for it."""

    organisation: str | None = None
    seat: str | None = None
    role: str | None = None
    price: Price | None = None
    hours: float | None = None


def of_capacity(capacity: Capacity, labels: View, language: Language) -> list[View]:
    """Rows for the capacity in which somebody takes part; a seat says more than its role."""
    organisation, seat, role, price, hours = capacity
    values = (("organisation", organisation), ("seat", seat), ("role", None if seat and line(seat) else role))
    details = [_row(labels[name], line(value)) for name, value in values if value and line(value)]
    if hours is not None:
        number = format_decimal(hours, locale=LOCALES[language])
        form = "time_hour" if hours == 1 else "time_hours"
        details.append(_row(labels["time"], labels[form].replace("{hours}", number)))
    if price is not None:
        details.append(_row(labels["price"], _price(price, labels, language)))
    return details


def _price(price: Price, labels: View, language: Language) -> str:
    if not price.amount:
        return str(labels["price_free"])
    amount = line(format_currency(price.amount, "EUR", locale=LOCALES[language]))
    if price.team:
        return f"{amount} {labels['price_team']}"
    return amount if price.people == 1 else f"{amount} {labels['price_people'].replace('{people}', str(price.people))}"


def of_contacts(content: Contact | None, enrolment: Contact | None, labels: View) -> list[View]:
    """Whom to ask about what; one person for both is named once."""
    if content is not None and content == enrolment:
        return [_contact(content, labels["about_both"])]
    pairs = ((content, "about_content"), (enrolment, "about_enrolment"))
    return [_contact(contact, labels[about]) for contact, about in pairs if contact is not None]


def _contact(contact: Contact, about: str) -> View:
    try:
        address = mailbox(contact.mailbox) if contact.mailbox else ""
    except UnusableAddress:
        address = ""
    telephone = line(contact.telephone or "")
    return {
        "about": about,
        "name": line(contact.name),
        "mailbox": address,
        "telephone": telephone,
        "dial": re.sub(r"[^+0-9]", "", telephone),
    }


def enumeration(names: list[str], conjunction: str) -> str:
    """Names as a sentence has them: "a, b en c"."""
    return f" {conjunction} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def of_notice(occasion: Undeliverable | Declined, of_session: Callable[..., View]) -> View:
    """What the programme's contact is told about somebody; words that person wrote stand between quotation marks."""
    person = title_of(occasion.name)
    if isinstance(occasion, Undeliverable):
        return {"person": person, "address": line(occasion.address)}
    declined, coming = (
        [of_session(session, brief=True) for session in sessions] for sessions in (occasion.sessions, occasion.coming)
    )
    return {
        "person": person,
        "ids": [line(occasion.enrolment), line(occasion.person)],
        "points": [f"“{said}”" for words in occasion.words if (said := shortened(line(words), LONGEST_WORDS))],
        "declined": declined,
        "coming": coming,
        "sessions": declined or coming,
    }
