"""What a template sees of a letter: strings, numbers, lists and dicts, already cleaned and in one language."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from babel.numbers import format_currency

from services.chassis.dates import LOCALES, day, hours, weekday, when
from services.notifications.hygiene import UnusableAddress, line, link, mailbox, shortened
from services.notifications.letters import Contact, Language, Online, Place, Price, Session, Slot, Venue

View = Mapping[str, Any]

LONGEST_TITLE = 200

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
    """The day and the hours; nothing while no date is known."""
    return when(slot.start, slot.end, language) if slot.start and slot.end else ""


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
) -> dict[str, Any]:
    """A session as a heading and rows. `struck`: it is off; `brief`: not how to join it; `before`: what it was."""
    slot = session.slot
    time = _when(slot, language)
    undated = f"{line(slot.period)}, {labels['date_follows']}" if slot.period else labels["no_date"]
    if struck:
        undated = line(slot.period or "")
    # Who is not to join is promised no link.
    later = labels["online" if struck or brief else "online_later"]
    where = _where(slot.place, labels["online"], later)
    join, clickable = ("", False) if struck or brief else _join(slot.place)
    was_when = _when(before, language) if before else ""
    was_where = _where(before.place, labels["online"], labels["online_later"]) if before else ""
    moved, elsewhere = was_when not in ("", time), was_where not in ("", where)
    rows = []
    if moved:
        rows.append(_row(labels["was_when"], was_when, struck=True))
    if time or undated:
        rows.append(_row(labels["now_when" if moved else "when"], time or undated, struck=struck))
    if elsewhere:
        rows.append(_row(labels["was_where"], was_where, struck=True))
    if where:
        rows.append(_row(labels["now_where" if elsewhere else "where"], where, struck=struck))
    if join:
        rows.append(_row(labels["join"], join, clickable=clickable))
    if session.lunch and not struck and not brief:
        rows.append(_row(labels["lunch"], labels["lunch_included"]))
    return {
        "title": title_of(session.title),
        "when": time,
        "where": where,
        "day": day(slot.start, language) if slot.start else "",
        "weekday": weekday(slot.start, language) if slot.start else "",
        "hours": hours(slot.start, slot.end, language) if slot.start and slot.end else "",
        "join": join,
        "clickable": clickable,
        "struck": struck,
        "rows": rows,
    }


def _row(label: str, value: str, *, struck: bool = False, clickable: bool = False) -> View:
    return {"label": label, "value": value, "struck": struck, "clickable": clickable}


def change_of(before: Slot, now: Slot) -> str:
    """What is most worth saying about a move: "day", "time", "place" or "link"."""
    if before.start is None or now.start is None or day(before.start, "nl") != day(now.start, "nl"):
        return "day"
    if (before.start, before.end) != (now.start, now.end):
        return "time"
    return "link" if isinstance(before.place, Online) and isinstance(now.place, Online) else "place"


def of_capacity(
    organisation: str | None,
    seat: str | None,
    role: str | None,
    price: Price | None,
    *,
    labels: View,
    language: Language,
) -> list[View]:
    """Rows for the organisation, seat and role in which somebody takes part; a role equal to the seat is left out."""
    values = (("organisation", organisation), ("seat", seat), ("role", role))
    details = [_row(labels[name], line(value)) for name, value in values if value and line(value)]
    if len(details) > 1 and details[-1]["value"] == details[-2]["value"]:
        details.pop()
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
    return {"about": about, "name": line(contact.name), "mailbox": address, "telephone": line(contact.telephone or "")}


def enumeration(names: list[str], conjunction: str) -> str:
    """Names as a sentence has them: "a, b en c"."""
    return f" {conjunction} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
