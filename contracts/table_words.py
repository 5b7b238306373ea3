"""The words in which reports are counted: on pages, in tables of the tool and in files for a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts.base import Language

_STATUSES: Final[Mapping[str, tuple[str, str]]] = {
    "confirmed": ("bevestigd", "confirmed"),
    "waiting": ("op de wachtlijst", "waiting"),
    "withdrawn": ("afgemeld", "withdrawn"),
    "refused": ("geweigerd", "refused"),
    "pending": ("wacht op bevestiging", "to be confirmed"),
    "lapsed": ("niet bevestigd", "not confirmed"),
}
_MEASURES: Final[Mapping[str, tuple[str, str]]] = {
    "units": ("Plekken", "Places"),
    "people": ("Personen", "People"),
    "enrolments": ("Aanmeldingen", "Enrolments"),
    "mails": ("E-mails", "Emails"),
}
"""
What is counted. A place (``unit``) is what a programme has a number of: a person, or a team. An enrolment is one
request, for one place or for several.
"""
_MAILS: Final[Mapping[str, tuple[str, str]]] = {
    "sent": ("verzonden", "sent"),
    "failed": ("mislukt", "failed"),
    "bounced": ("teruggekomen", "bounced"),
    "uncertain": ("onzeker", "uncertain"),
}
_PURPOSES: Final[Mapping[str, tuple[str, str]]] = {
    "confirmation-request": ("vraag om te bevestigen", "request to confirm"),
    "already-enrolled": ("was al aangemeld", "was already enrolled"),
    "confirmation": ("bevestiging", "confirmation"),
    "invite": ("uitnodiging voor de agenda", "calendar invitation"),
    "waiting": ("wachtlijst", "waiting list"),
    "promotion": ("plek vrijgekomen", "a place came free"),
    "refusal": ("weigering", "refusal"),
    "session-moved": ("bijeenkomst gewijzigd", "session changed"),
    "session-cancelled": ("bijeenkomst gaat niet door", "session cancelled"),
    "programme-cancelled": ("programma gaat niet door", "programme cancelled"),
    "withdrawn": ("afmelding", "withdrawal"),
    "withdrawn-invite": ("bijeenkomst uit de agenda", "taken out of the calendar"),
    "readdressed": ("bijeenkomst uit de agenda bij een vorig adres", "taken out of the calendar at an earlier address"),
    "team-incomplete": ("team niet compleet", "team incomplete"),
    "undeliverable": ("mail komt niet aan (aan contactpersoon)", "email bounces (to the contact)"),
    "declined": ("antwoord op een uitnodiging (aan contactpersoon)", "answer to an invitation (to the contact)"),
}
_ANSWERS: Final[Mapping[str, tuple[str, str]]] = {
    "invited": ("uitgenodigd", "invited"),
    "accepted": ("komt", "attending"),
    "tentative": ("misschien", "tentative"),
    "declined": ("komt niet", "not attending"),
    "unanswered": ("geen antwoord", "no answer"),
}
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "meeting": ("bijeenkomst", "meeting"),
    "round-table": ("gesprekstafel", "round table"),
    "inspiration": ("inspiratiesessie", "inspiration session"),
    "track": ("traject", "track"),
}
_OTHERS: Final[Mapping[str, tuple[str, str]]] = {
    "programme": ("Programma", "Programme"),
    "kind": ("Soort", "Kind"),
    "state": ("Stand", "State"),
    "capacity": ("Capaciteit", "Capacity"),
    "section": ("Onderdeel", "Part"),
    "name": ("Naam", "Name"),
    "key": ("Id", "Id"),
    "refusals": ("Weigeringen", "Refusals"),
    "hours": ("Geplande uren (bevestigd)", "Planned hours (confirmed)"),
    "total": ("Totaal", "Total"),
    "organisation": ("Organisatie", "Organisation"),
    "province": ("Provincie", "Province"),
    "municipality": ("Gemeente", "Municipality"),
    "theme": ("Thema", "Theme"),
    "organiser": ("Organisator", "Organiser"),
    "role": ("Rol", "Role"),
    "seat": ("Teamplek", "Seat"),
    "refusal": ("Geweigerd omdat", "Refused because"),
    "day": ("Dag", "Day"),
    "mail": ("Soort mail", "Kind of email"),
    "session": ("Bijeenkomst", "Session"),
    "promoted": ("alsnog bevestigd", "promoted"),
    "took_part": ("Deed mee", "Took part"),
    "goal": ("Doel", "Goal"),
    "programmes": ("Programma’s", "Programmes"),
    "organisations": ("Organisaties", "Organisations"),
    "elsewhere": ("elders", "elsewhere"),
    "everywhere": ("alles samen", "all together"),
    "whole": ("Hele thema", "Whole theme"),
    "state_withdrawn": ("gaat niet door", "cancelled"),
    "state_closed": ("afgesloten", "closed"),
    "state_open": ("gaat door", "going ahead"),
    "yes": ("ja", "yes"),
    "no": ("nee", "no"),
}


def _all() -> dict[str, tuple[str, str]]:
    words = {**_OTHERS, **_STATUSES, **_MEASURES, **_MAILS, **_ANSWERS}
    words |= {f"kind_{key}": pair for key, pair in _KINDS.items()}
    words |= {f"purpose_{key}": pair for key, pair in _PURPOSES.items()}
    events = {**_STATUSES, "requested": ("binnengekomen", "requested"), "promoted": _OTHERS["promoted"]}
    for measure, counted in (("units", _STATUSES), ("people", _STATUSES), ("mails", _MAILS), ("enrolments", events)):
        what = _MEASURES[measure]
        words |= {f"{measure}_{key}": (f"{what[0]} {nl}", f"{what[1]} {en}") for key, (nl, en) in counted.items()}
    return words


_WORDS: Final[Mapping[str, tuple[str, str]]] = _all()
TABLE_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "nl": {key: nl for key, (nl, _) in _WORDS.items()},
    "en": {key: en for key, (_, en) in _WORDS.items()},
}
"""What the columns of reports, and the words in them, are called."""
